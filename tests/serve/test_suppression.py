"""Tests of serve/searching/suppression.py against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serve.searching.suppression
from serve.searching.suppression import suppress


def _plain(points, limit, separation, excluded, may, groups, most):
    kept = []
    for index, point in enumerate(points):
        others = [*excluded, *(points[i] for i in kept)]
        far = all(np.linalg.norm(point - o) >= separation * (1 - 1e-9) for o in others)
        full = groups[index] >= 0 and [groups[i] for i in kept].count(groups[index]) >= most
        if may[index] and far and not full and len(kept) < limit:
            kept.append(index)
    return kept


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 80),
    limit=st.integers(1, 30),
    separation=st.sampled_from([0.0, 1.0, 4.6 * 3, 30.0, 1e4]),
    block=st.sampled_from([4, 16, 256]),
    most=st.sampled_from([1, 2, 100]),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_keeps_what_a_plain_loop_keeps(count, limit, separation, block, most, seed):
    rng = np.random.default_rng(seed)
    points = rng.integers(-6, 6, (count, 3)) * np.array([4.6, 4.6, 45.0])
    excluded = rng.uniform(-30, 30, (int(rng.integers(0, 7)), 3))
    may, groups = rng.random(count) < 0.8, rng.integers(-1, 5, count)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serve.searching.suppression, "_BLOCK", block)
        kept = suppress(points, limit, separation, excluded, may, groups, most)

    assert kept.tolist() == _plain(points, limit, separation, excluded, may, groups, most)


@pytest.mark.parametrize("size", [4.6, 1 / 3, 7.7])
def test_points_exactly_as_far_apart_as_asked_both_stay(size):
    points = np.arange(5)[:, None] * np.array([0, 0, 3 * size])

    kept = suppress(points, 5, 3 * size, np.empty((0, 3)))

    assert len(kept) == 5


def test_ten_thousand_hits_out_of_a_hundred_thousand_take_seconds_at_most():
    points = np.random.default_rng(0).uniform(0, 1000, (100_000, 3))

    kept = suppress(points, 10_000, 20.0, np.empty((0, 3)))

    assert len(kept) == 10_000
