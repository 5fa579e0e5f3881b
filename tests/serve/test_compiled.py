"""Tests of serve/searching/compiled.py; test_suppression.py has more of `greedy`."""

import numba
import numpy as np
import pytest

from serve.searching import compiled


@pytest.mark.parametrize(
    ("scores", "ids", "expected"),
    [
        ([], [], []),
        ([0.5], [3], [3]),
        ([0.9, 0.5, 0.5, 0.1], [7, 4, 2, 0], [7, 2, 4, 0]),
        ([0.5, 0.5, 0.5], [3, 1, 2], [1, 2, 3]),
        ([0.9, 0.1, 0.1], [7, 4, 2], [7, 2, 4]),
    ],
)
def test_of_equal_scores_the_lower_id_comes_first(scores, ids, expected):
    numbers = np.array(ids, np.int64)

    assert compiled.ordered(np.array(scores, np.float32), numbers)
    assert numbers.tolist() == expected


@pytest.mark.parametrize("scores", [[0.9, 0.95], [0.5, 0.5, 0.9], [0.9, np.nan], [np.nan, 0.9]])
def test_what_does_not_fall_is_told(scores):
    assert not compiled.ordered(np.array(scores, np.float32), np.arange(len(scores)))


@pytest.mark.parametrize("refusal", [RuntimeError("no locator available"), OSError("disk full")])
def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch, refusal):
    njit = numba.njit

    def refusing(types, cache=False):
        if cache:
            raise refusal
        return njit(types)

    monkeypatch.setattr(numba, "njit", refusing)
    made = compiled._compiled(compiled._ordered, "boolean(float32[:],int64[:])")

    assert made(np.array([2, 1], np.float32), np.array([0, 1])) is True
