"""Tests of serve/gate/caller.py: work ends when nobody waits for it."""

import contextvars

import numpy as np
import pytest

import serve.searching.similarity_map
from embed.errors import UnavailableError
from serve.gate.caller import Waiting, require_caller
from serve.queries import Query
from serve.search import Searcher

BOX = ((100.0, 100.0, 30.0), (500.0, 450.0, 600.0))
VECTORS = np.random.default_rng(0).normal(size=(100, 16))
WORK = {
    "a map": lambda s: s.map_similarity(Query(like=(VECTORS[0],)), BOX),
    "everything": lambda s: list(s.find_all(Query(like=(VECTORS[0],)), 2.0)),
    "many vectors": lambda s: s.find_each(VECTORS),
}


class Impatient:
    """Waits until it has been asked so many times."""

    def __init__(self, patience):
        self.left = patience

    def __call__(self):
        self.left -= 1
        return self.left >= 0


def test_without_a_caller_work_goes_on():
    contextvars.Context().run(require_caller)


@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_long_work_ends_between_its_parts_when_the_caller_has_gone(atlas, index, monkeypatch, work):
    monkeypatch.setattr(serve.searching.similarity_map, "_AT_ONCE", 100)
    caller = Impatient(2)

    with pytest.raises(UnavailableError, match="has gone"), Waiting(caller):
        work(Searcher(atlas, index))

    assert caller.left == -1


def test_a_call_whose_caller_has_gone_is_not_begun_and_leaves_nothing_behind():
    with pytest.raises(UnavailableError), Waiting(lambda: False):
        raise AssertionError

    require_caller()
