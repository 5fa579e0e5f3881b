"""Dense inference: an embedding at every location of a volume, written shard by shard.

The core knows no engine. `remaining` lists the work that `embed.layout` laid out, and `run_shard`
does one piece from nothing but the atlas' path and a box of cells, so any engine that can call a
function can run it. A shard computed twice is the same bit for bit.
"""

import contextlib
import functools
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from embed.atlas import Atlas
from embed.geometry import Box
from embed.job import Attempt, Job, Seen
from embed.ledger import Mark

Progress = Callable[[Box, Mark], None]
# Parts that are read ahead of the one that is computed.
_AHEAD = 2


def remaining(atlas: Atlas) -> list[Box]:
    """The shards that are neither done nor void as they are planned, in the order to do them in."""
    finished = atlas.finished()
    return [shard for shard in atlas.shards if shard not in finished]


def run_shard(path: Path, shard: Box) -> Mark:
    """Computes, writes and records one shard of the atlas at `path`, unless it is finished.

    A shard whose voxels cannot be read or used is recorded as failed with the reason, so that one
    bad chunk does not stop the rest.

    Raises:
        MismatchError: the encoder in the atlas is not the one that the atlas was laid out for.
        MissingExtraError: the backend of the atlas is not installed here.
        StorageError: the disk refuses.
    """
    job = _job(path, _revision(path))
    return job.finished(shard) or job.write(shard, job.attempt(shard))


def embed_shards(
    atlas: Atlas,
    shards: Sequence[Box] | None = None,
    *,
    progress: Progress = lambda _shard, _mark: None,
) -> list[tuple[Box, Mark]]:
    """Does shards of an atlas in this process: one is read and one written while one computes.

    Where the backend takes several calls at once, as many shards are done side by side.

    Args:
        atlas: laid out, and open.
        shards: which; all that remain if not given.
        progress: called with each shard when it is written.

    Returns:
        The shards that failed, with their marks.

    Raises:
        StorageError: the disk refuses; run again to go on.
    """
    job = Job.open(atlas)
    failed = []
    todo = remaining(atlas) if shards is None else shards
    done = _in_a_row if job.backend.parallel == 1 else _side_by_side
    with contextlib.closing(done(job, todo)) as marked:
        for shard, mark in marked:
            if mark.state == "failed":
                failed.append((shard, mark))
            progress(shard, mark)
    return failed


def _side_by_side(job: Job, shards: Sequence[Box]) -> Generator[tuple[Box, Mark]]:
    """Shards with their marks, when they are written; each in a thread that also reads it.

    An accelerator computes faster than one thread reads and normalises.
    """

    def embed(shard: Box) -> Mark | Attempt:
        return job.finished(shard) or job.attempt(shard)

    upcoming, lanes = iter(shards), job.backend.parallel
    with ThreadPoolExecutor(lanes, "voxkin-shard") as pool:
        ahead: deque[tuple[Box, Future[Mark | Attempt]]] = deque()

        def fill() -> None:
            for shard in itertools.islice(upcoming, lanes + 1 - len(ahead)):
                ahead.append((shard, pool.submit(embed, shard)))

        try:
            fill()
            while ahead:
                shard, future = ahead.popleft()
                found = future.result()
                fill()
                yield shard, found if isinstance(found, Mark) else job.write(shard, found)
        finally:
            for _, future in ahead:
                future.cancel()


def _in_a_row(job: Job, shards: Sequence[Box]) -> Generator[tuple[Box, Mark]]:
    """The same where one computes at a time: one is read and one written meanwhile."""
    with (
        ThreadPoolExecutor(1, "voxkin-read") as reader,
        ThreadPoolExecutor(1, "voxkin-write") as pen,
    ):
        yield from _pipeline(job, shards, reader, pen)


def _pipeline(
    job: Job, shards: Sequence[Box], reader: ThreadPoolExecutor, pen: ThreadPoolExecutor
) -> Iterator[tuple[Box, Mark]]:
    """At most one shard is behind the one that computes."""
    behind: tuple[Box, Future[Mark]] | None = None
    for shard, seen in _read_ahead(job, shards, reader):
        found = job.finished(shard)  # by another process at the same atlas
        attempt = None if found else job.attempt(shard, seen)
        if behind:
            yield behind[0], behind[1].result()
        behind = (shard, pen.submit(job.write, shard, attempt)) if attempt else None
        if found:
            yield shard, found
    if behind:
        yield behind[0], behind[1].result()


def _read_ahead(
    job: Job, shards: Sequence[Box], reader: ThreadPoolExecutor
) -> Iterator[tuple[Box, Iterator[Seen]]]:
    """Shards with their parts, which are read while those before them are computed."""
    past: set[Box] = set()
    upcoming = ((s, part) for s in shards for part in job.parts(s) if s not in past)
    ahead: deque[tuple[Box, Future[Seen]]] = deque()

    def fill() -> None:
        for shard, part in itertools.islice(upcoming, _AHEAD - len(ahead)):
            ahead.append((shard, reader.submit(job.read, part)))

    def parts_of(shard: Box) -> Iterator[Seen]:
        fill()
        while ahead and ahead[0][0] == shard:
            _, part = ahead.popleft()
            fill()
            yield part.result()

    for shard in shards:
        yield shard, parts_of(shard)
        past.add(shard)
        while ahead and ahead[0][0] == shard:  # what was not asked for after all
            ahead.popleft()[1].cancel()


@functools.lru_cache(maxsize=2)
def _job(path: Path, revision: tuple[str, ...]) -> Job:
    """One job per process and atlas, so that the network is compiled once."""
    return Job.open(Atlas.open(path))


def _revision(path: Path) -> tuple[str, ...]:
    """What tells that regions were added to an atlas, or that another took its place."""
    changed = (path / "atlas.json").stat().st_mtime_ns if (path / "atlas.json").exists() else 0
    return (str(changed), *sorted(file.name for file in (path / "regions").glob("*.json")))
