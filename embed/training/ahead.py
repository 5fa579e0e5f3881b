"""The batches of a run, cut in threads while those before them are computed on."""

import collections
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from embed.threads import threads
from embed.training.sampling import Batch, PairSampler

# Two steps ahead hide a chunk that decodes slowly; more would only hold memory.
_AHEAD = 2


def cut_ahead(sampler: PairSampler, start: int, stop: int) -> Generator[Batch]:
    """The batches of steps `start` to `stop`; the crops of each are cut side by side.

    While it runs BLAS, which zooms crops, has one thread: more would spin beside those that cut.

    Raises:
        DataError: see `PairSampler.batch`.
    """
    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(threads(), thread_name_prefix="voxkin-cut") as crops,
        ThreadPoolExecutor(_AHEAD, thread_name_prefix="voxkin-read") as steps,
    ):
        pending: collections.deque[Future[Batch]] = collections.deque()
        try:
            for step in range(start, stop):
                pending.append(steps.submit(sampler.batch, step, crops.map))
                if len(pending) > _AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
