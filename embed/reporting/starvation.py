"""How long the device had nothing to do because the next batch was not read yet."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import jax
from jaxtyping import PyTree

Item = TypeVar("Item")


class Starvation:
    """Measures it in a loop that hands out work and does not wait for it. A context manager.

    The loop runs ahead of the device, so its own waiting says little: what counts is the part of it
    after the device was done with the step before. A thread notes when that was.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="voxkin-done")
        self._done: Future[float] | None = None
        self._waits: list[tuple[float, float, Future[float] | None]] = []
        self._since = time.monotonic()

    def __enter__(self) -> "Starvation":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()

    def timed(self, batches: Iterator[Item]) -> Iterator[Item]:
        """The batches, with a note of how long each was waited for."""
        while True:
            asked = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self._waits.append((asked, time.monotonic(), self._done))
            yield batch

    def given(self, result: PyTree) -> None:
        """Notes the work that the device was given; `result` is there once it is done."""
        self._done = self._pool.submit(_when_done, result)

    def share(self) -> float:
        """Share of the time since the last call that the device waited for data, 0 to 1.

        To be called once the results of all but the last work are there, or it waits for them.
        """
        now = time.monotonic()
        waited = sum(
            max(0.0, come - max(asked, done.result() if done else asked))
            for asked, come, done in self._waits
        )
        share = waited / max(now - self._since, 1e-9)
        self._waits, self._since = [], now
        return min(share, 1.0)


def _when_done(result: PyTree) -> float:
    jax.block_until_ready(result)
    return time.monotonic()
