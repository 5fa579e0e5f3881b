"""Long jobs on an atlas: one at a time, told step by step, ended when nobody listens any more."""

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

from embed.errors import BusyError

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Step:
    """How far a job is, in a unit of its own.

    Attributes:
        done: so far.
        total: in all.
    """

    done: int
    total: int


@dataclasses.dataclass(frozen=True)
class Finished(Generic[Result]):
    """The end of a job, and what came of it."""

    result: Result


class JobSlot:
    """Room for one long job. Safe to use from many threads."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._lock = threading.Lock()
        self._current = ""

    @contextlib.contextmanager
    def holding(self, job: str) -> Iterator[None]:
        """Holds the slot during the block.

        Args:
            job: what is being done, as in "applying probe 'mito'".

        Raises:
            BusyError: another job holds it.
        """
        if not self._lock.acquire(blocking=False):
            raise BusyError(
                f"atlas {self._owner!r} is busy {self._current or 'with another job'}; "
                "try again when that has finished"
            )
        try:
            self._current = job
            yield
        finally:
            self._current = ""
            self._lock.release()


class _Abandoned(Exception):
    """Raised inside a job whose listener has gone."""


def stepwise(
    job: Callable[[Callable[[int, int], None]], Result],
) -> Generator[Step | Finished[Result], None, None]:
    """Runs a job that reports by calling back, and yields its steps and then its result.

    The job runs in a thread of its own. Closing the iterator ends it at its next step, and waits
    until it has ended.

    Args:
        job: takes a function to call with what is done and the total.

    Raises:
        Exception: whatever the job raises.
    """
    news: queue.SimpleQueue[Step | Finished[Result] | Exception] = queue.SimpleQueue()
    abandoned = threading.Event()

    def tell(done: int, total: int) -> None:
        if abandoned.is_set():
            raise _Abandoned
        news.put(Step(done, total))

    def run() -> None:
        try:
            news.put(Finished(job(tell)))
        except Exception as error:
            news.put(error)

    thread = threading.Thread(target=run, name="job", daemon=True)
    thread.start()
    try:
        while True:
            item = news.get()
            if isinstance(item, Exception):
                raise item
            yield item
            if isinstance(item, Finished):
                return
    finally:
        abandoned.set()
        thread.join()
