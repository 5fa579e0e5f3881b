"""Turns: searches that share an interpreter compute one after the other.

Python runs one thread at a time, but lets go at every operation on a large array. Threads that all
search then wake each other again and again in a search, and find the caches cold. So a search has
its turn, and lets others have theirs while it computes without Python or waits for somebody else.
"""

import contextlib
import threading
from collections.abc import Iterator

_PATIENCE_S = 0.25
_NOTHING = contextlib.nullcontext()


class Turns:
    """A line in which the threads of a process stand. Safe to use from many threads."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        """Makes a line.

        Args:
            patience_s: how long a thread stands in it before it goes on without a turn, so that one
                that takes long holds up nobody for longer.
        """
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._mine = threading.local()

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """In this block it is the turn of this thread; also where it was before."""
        if self._held:
            yield
            return
        self._take()
        try:
            yield
        finally:
            self._give()

    def given_away(self) -> contextlib.AbstractContextManager[None]:
        """In this block it is the turn of others, and then of this thread again if it was its."""
        return self._away() if self._held else _NOTHING

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        self._give()
        try:
            yield
        finally:
            self._take()

    @property
    def _held(self) -> bool:
        return getattr(self._mine, "held", False)

    def _take(self) -> None:
        self._mine.held = self._lock.acquire(timeout=self._patience_s)

    def _give(self) -> None:
        if self._held:
            self._mine.held = False
            self._lock.release()


TURNS = Turns()
"""The line of this process, since it has one interpreter."""
