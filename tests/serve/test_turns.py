"""Turns: one thread at a time, others while it waits, and nobody waits for ever."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serve import search
from serve.index import build_index, open_index
from serve.search import Searcher
from serve.searching.turns import TURNS, Turns
from tests.atlases import make_atlas

LONG_S = 30.0


def elsewhere(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_one_thread_computes_at_a_time() -> None:
    turns, inside, most = Turns(LONG_S), 0, []

    def compute() -> None:
        nonlocal inside
        for _ in range(200):
            with turns.taken():
                inside += 1
                most.append(inside)
                inside -= 1

    threads = [elsewhere(compute) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert len(most) == 8 * 200
    assert max(most) == 1


def test_a_turn_given_away_is_that_of_others_and_comes_back() -> None:
    turns, told, ends = Turns(LONG_S), [], threading.Event()

    def other() -> None:
        with turns.taken():
            told.append("other")
            ends.wait(LONG_S)
            told.append("other ends")

    with turns.taken():
        thread = elsewhere(other)
        thread.join(0.05)
        assert told == []
        with turns.given_away():
            while not told:
                pass
            threading.Timer(0.05, ends.set).start()
        told.append("first again")
    thread.join()
    assert told == ["other", "other ends", "first again"]


def test_what_takes_too_long_is_not_waited_for() -> None:
    turns = Turns(patience_s=0.01)
    went_on, ends = threading.Event(), threading.Event()

    def slow() -> None:
        with turns.taken():
            went_on.set()
            ends.wait(LONG_S)

    thread = elsewhere(slow)
    went_on.wait(LONG_S)
    with turns.taken(), turns.given_away():
        pass
    ends.set()
    thread.join()
    with turns.taken():  # and the line is as it was
        assert not turns._lock.acquire(blocking=False)


def test_a_turn_within_a_turn_is_the_same() -> None:
    turns = Turns(LONG_S)
    with turns.taken():
        with turns.taken():
            pass
        assert not turns._lock.acquire(blocking=False)
    assert turns._lock.acquire(blocking=False)


def test_a_turn_ends_with_an_error() -> None:
    turns = Turns(LONG_S)
    with pytest.raises(ValueError, match="failed"), turns.taken(), turns.given_away():
        raise ValueError("failed")
    assert turns._lock.acquire(blocking=False)


@pytest.mark.parametrize("kept", [True, False])
def test_a_search_has_a_turn_where_it_reads_nothing(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atlas = make_atlas(tmp_path / "a")
    build_index(atlas)
    searcher = Searcher(atlas, open_index(atlas), keep_bytes=2**30 if kept else 0)
    held: list[bool] = []
    gather = search.gather
    monkeypatch.setattr(search, "gather", lambda *a: (held.append(TURNS._held), gather(*a))[1])

    searcher.find_like(atlas.embeddings(np.array([900]))[0])
    searcher.find_each(atlas.embeddings(np.array([900, 901])))

    assert held == [kept] * 3
    assert not TURNS._held
