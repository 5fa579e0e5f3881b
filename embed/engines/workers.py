"""Runs items in processes of this machine."""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from embed.engines.engine import Failure, Item, Result, attempt
from embed.engines.lanes import run_in_lanes
from embed.errors import ConfigError
from embed.threads import limit_threads, threads


class Workers:
    """Spawned processes, each with its share of the cores.

    Never forked: FAISS, JAX, TensorStore and numba all hang in a forked child. A script that runs
    them needs `if __name__ == "__main__":`, since each of them imports it.
    """

    def __init__(self, count: int | None = None):
        """
        Args:
            count: of processes; one per core if not given.

        Raises:
            ConfigError: it is not positive.
        """
        if count is not None and count < 1:
            raise ConfigError(f"workers are counted from 1; got {count}")
        self.count = count or threads()

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """As `Engine.run`."""
        open_lane = functools.partial(_Worker, max(1, threads() // self.count))
        yield from run_in_lanes(open_lane, self.count, function, items)


class _Worker:
    """A pool of one process: all that is broken by its death is the one item."""

    death: type[Exception] = BrokenExecutor

    def __init__(self, share: int):
        spawn = multiprocessing.get_context("spawn")
        # The child holds the other end, and ends when this one closes, for whatever reason.
        end, self._leash = spawn.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, spawn, _begin, (share, end))
        self.ready: Future[Any] = self._pool.submit(os.getpid)

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Any]:
        return self._pool.submit(attempt, function, item)

    def close(self) -> None:
        self._leash.close()
        self._pool.shutdown()


def _begin(share: int, leash: Connection) -> None:
    """The first thing that a worker does: the function and what it imports come with an item."""
    limit_threads(share)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()


def _end_with(leash: Connection) -> None:
    with contextlib.suppress(EOFError):
        leash.recv()
    os._exit(0)
