"""Turns: a few tasks at a time, others where one stands aside, and all of them in the end."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path

import numpy as np
import pytest

from serve.index import build_index, open_index
from serve.queries import Filters, Query, Wish
from serve.search import Searcher
from serve.searching import turns
from serve.searching.turns import TurnPool, stand_aside
from tests.atlases import make_atlas

LONG_S = 30.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_PATIENCE_S", LONG_S)


@pytest.fixture
def pool() -> Iterator[TurnPool]:
    made = TurnPool(turns=2, threads=4)
    yield made
    made.shutdown()
    assert not any(thread.is_alive() for thread in made._threads)


def test_so_many_tasks_run_at_a_time(pool: TurnPool) -> None:
    running, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def task() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(LONG_S)
        with lock:
            running -= 1

    wait([pool.submit(task) for _ in range(40)], LONG_S)
    assert most == 2


def test_a_task_that_stands_aside_lets_another_begin(pool: TurnPool) -> None:
    ends, begun = threading.Event(), threading.Semaphore(0)

    def long() -> str:
        stand_aside()
        stand_aside()  # once is enough
        begun.release()
        ends.wait(LONG_S)
        return "long"

    held = [pool.submit(long) for _ in range(2)]
    assert all(begun.acquire(timeout=LONG_S) for _ in held)
    both = threading.Barrier(2)
    quick = [pool.submit(both.wait, LONG_S) for _ in range(2)]  # both turns are there
    assert sorted(future.result(LONG_S) for future in quick) == [0, 1]

    ends.set()
    assert [future.result(LONG_S) for future in held] == ["long", "long"]
    both.reset()
    again = [pool.submit(both.wait, LONG_S) for _ in range(2)]
    assert sorted(future.result(LONG_S) for future in again) == [0, 1]


def test_a_task_that_takes_long_unawares_is_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_PATIENCE_S", 0.02)
    pool, ends = TurnPool(turns=2, threads=4), threading.Event()
    held = [pool.submit(ends.wait, LONG_S) for _ in range(2)]

    assert pool.submit(lambda: "done").result(LONG_S) == "done"

    assert not any(future.done() for future in held)
    ends.set()
    assert all(future.result(LONG_S) for future in held)
    pool.shutdown()


def test_where_all_threads_stand_aside_a_task_waits_for_one(pool: TurnPool) -> None:
    ends, begun = threading.Event(), threading.Semaphore(0)

    def long() -> None:
        stand_aside()
        begun.release()
        ends.wait(LONG_S)

    held = [pool.submit(long) for _ in range(4)]
    assert all(begun.acquire(timeout=LONG_S) for _ in held)
    last = pool.submit(lambda: "done")
    with pytest.raises(TimeoutError):
        last.result(0.05)
    ends.set()
    assert last.result(LONG_S) == "done"


def test_tasks_are_begun_in_the_order_in_which_they_came() -> None:
    pool, told = TurnPool(turns=1, threads=3), []

    wait([pool.submit(told.append, number) for number in range(100)], LONG_S)
    pool.shutdown()

    assert told == list(range(100))


def test_an_error_is_that_of_its_task_alone(pool: TurnPool) -> None:
    def fail() -> None:
        stand_aside()
        raise ValueError("failed")

    failed = [pool.submit(fail) for _ in range(10)]
    for future in failed:
        with pytest.raises(ValueError, match="failed"):
            future.result(LONG_S)
    assert pool.submit(pow, 2, 5).result(LONG_S) == 32


def test_what_was_cancelled_is_not_begun(pool: TurnPool) -> None:
    ends, told = threading.Event(), []
    held = [pool.submit(ends.wait, LONG_S) for _ in range(2)]
    cancelled = pool.submit(told.append, 1)

    assert cancelled.cancel()
    ends.set()
    wait(held, LONG_S)
    assert pool.submit(lambda: list(told)).result(LONG_S) == []


def test_after_shutdown_what_waits_is_done_and_nothing_more_is_taken() -> None:
    pool, ends = TurnPool(turns=1, threads=2), threading.Event()
    held, after = pool.submit(ends.wait, LONG_S), pool.submit(lambda: "done")

    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(print)
    ends.set()
    assert held.result(LONG_S)
    assert after.result(LONG_S) == "done"
    pool.shutdown()
    assert not any(thread.is_alive() for thread in pool._threads)


def test_elsewhere_nothing_stands_aside() -> None:
    stand_aside()


BOX = (((200.0, 200.0, 300.0), (450.0, 420.0, 500.0)),)
VECTOR = np.arange(1.0, 17.0)


@pytest.mark.parametrize(
    ("kept", "query", "wish", "aside"),
    [
        (True, Query(like=(VECTOR,)), Wish(), False),
        (True, Query(like=(VECTOR,) * 4, mode="best"), Wish(100), False),
        (False, Query(like=(VECTOR,)), Wish(), True),
        (True, Query(like=(VECTOR,)), Wish(filters=Filters(BOX)), True),
        (True, Query(like=(VECTOR,)), Wish(101), True),
        (True, Query(like=(VECTOR,) * 5), Wish(), True),
        (True, Query(like=(VECTOR,), unlike=(-VECTOR,), mode="linear"), Wish(), True),
    ],
)
def test_a_search_that_reads_or_takes_long_stands_aside(
    kept: bool,
    query: Query,
    wish: Wish,
    aside: bool,
    tmp_path: Path,
    pool: TurnPool,
) -> None:
    atlas = make_atlas(tmp_path / "a")
    build_index(atlas)
    searcher = Searcher(atlas, open_index(atlas), keep_bytes=2**30 if kept else 0)

    assert _stands_aside(pool, lambda: searcher.find(query, wish)) == aside


def test_an_index_that_looks_at_many_locations_stands_aside(
    tmp_path: Path, pool: TurnPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    atlas = make_atlas(tmp_path / "a")
    build_index(atlas)
    index = open_index(atlas)
    vectors = atlas.embeddings(np.array([900, 901]))

    assert not _stands_aside(pool, lambda: index.search(vectors, 5))
    monkeypatch.setattr("serve.index._MANY", 100)
    assert _stands_aside(pool, lambda: index.search(vectors, 5))


def _stands_aside(pool: TurnPool, work: Callable[[], object]) -> bool:
    def task() -> bool:
        work()
        return not turns._mine.turn.held

    return pool.submit(task).result(LONG_S)
