"""Dense inference: an embedding at every location of a volume, written shard by shard.

The core knows no engine. `remaining` lists the work that `embed.layout` laid out, and `run_shard`
does one piece from nothing but the atlas' path and a box of cells, so any engine that can call a
function can run it. A shard computed twice is the same bit for bit.
"""

import dataclasses
import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from embed.atlas import Atlas
from embed.backends.backend import Backend, name
from embed.backends.choice import open_backend
from embed.checkpoint import FILE, load_encoder
from embed.dense_shard import dense_parts
from embed.errors import DataError, MismatchError
from embed.geometry import Box, Grid, zyx
from embed.given_shard import given_parts, read_fields
from embed.ledger import Mark
from embed.storage import digest, locked

Progress = Callable[[Box, Mark], None]
# Bytes of voxels that are read at once: all of a shard at usual strides, parts of it at wide ones.
_READ = 64 * 2**20
# Parts that are read ahead of the one that is computed.
_AHEAD = 2


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was read for a part of a shard.

    Attributes:
        cells: of the atlas.
        wanted: which of them are to be embedded.
        voxels: what they see, a block on a grid, a stack of fields of view of given places; None
            where none of them is wanted.
    """

    cells: Box
    wanted: Bool[np.ndarray, "z y x"]
    voxels: np.ndarray | None


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
    with (
        ThreadPoolExecutor(1, "voxkin-read") as reader,
        ThreadPoolExecutor(1, "voxkin-write") as pen,
    ):
        for shard, mark in _pipeline(job, todo, reader, pen):
            if mark.state == "failed":
                failed.append((shard, mark))
            progress(shard, mark)
    return failed


@dataclasses.dataclass(frozen=True)
class Job:
    """An atlas with its encoder made ready to run."""

    atlas: Atlas
    backend: Backend

    @classmethod
    def open(cls, atlas: Atlas) -> "Job":
        """Loads the encoder of an atlas and compiles what the atlas names.

        Raises:
            MismatchError: the encoder is not the one that the atlas was laid out for.
            MissingExtraError: the backend is not installed here.
            NotFoundError: the file with the places of an atlas of given ones is missing.
            DataError: it is damaged, or another.
        """
        atlas.places  # noqa: B018  a wrong one is refused now, not by every shard
        encoder = load_encoder(atlas.path)
        if encoder.fingerprint != atlas.info.encoder:
            raise MismatchError(
                f"the encoder in {atlas.path} has fingerprint {encoder.fingerprint} and the atlas "
                f"was made by {atlas.info.encoder}; restore {atlas.path / FILE} or make the atlas "
                "anew"
            )
        return cls(atlas, open_backend(encoder, *atlas.info.kind_and_precision))

    def finished(self, shard: Box) -> Mark | None:
        """The mark of a shard that is finished as it is planned, by whomever."""
        mark = self.atlas.ledger.mark(self.atlas.shard_index(shard))
        return mark if mark and mark.plan == self.atlas.plan(shard) else None

    def parts(self, shard: Box) -> Iterator[Box]:
        """The parts of a shard that are read at once, each as large as memory is meant for."""
        size = list(shard.shape)
        places, width = self.atlas.places, self.atlas.volume.dtype.itemsize
        while isinstance(places, Grid) and max(size) > 1:
            if width * places.voxels(Box.of_shape(size)).size <= _READ:
                break
            longest = size.index(max(size))
            size[longest] = -(-size[longest] // 2)
        return shard.tiles(zyx(size))

    def read(self, cells: Box) -> Seen:
        """What a part of a shard needs.

        Raises:
            DataError: a mask or voxels cannot be read.
        """
        atlas, places = self.atlas, self.atlas.places
        wanted = atlas.wanted(cells)
        if not wanted.any():
            return Seen(cells, wanted, None)
        if isinstance(places, Grid):
            return Seen(cells, wanted, atlas.volume.read(places.voxels(cells)))
        fields = read_fields(atlas.volume, atlas.segmentation, places, cells)
        return Seen(cells, wanted, fields)

    def attempt(
        self, shard: Box, seen: Iterable[Seen] | None = None
    ) -> tuple[np.ndarray | None, Mark]:
        """The embeddings of a shard as they are stored, and the mark they earn.

        None stands for embeddings that are not written: of a void, and of a shard that failed.

        Args:
            shard: to embed.
            seen: all its parts, read; they are read one after the other if not given.
        """
        try:
            return self._compute(shard, seen or map(self.read, self.parts(shard)))
        except DataError as error:
            plan = self.atlas.plan(shard)
            return None, Mark("failed", locations=shard.size, reason=str(error), plan=plan)

    def write(self, shard: Box, attempt: tuple[np.ndarray | None, Mark]) -> Mark:
        """Writes a shard, then its mark, which is given back.

        A region that was added meanwhile and touches the shard makes it fail: another process may
        have embedded it as it is planned now, and would be overwritten.

        Raises:
            StorageError: the disk refuses.
        """
        stored, mark = attempt
        if not self.atlas.regions:
            return self._record(shard, stored, mark)
        with locked(self.atlas.path / "atlas.json", shared=True):
            if Atlas.open(self.atlas.path).plan(shard) == mark.plan:
                return self._record(shard, stored, mark)
        reason = "a region was added to the atlas meanwhile; run again"
        return dataclasses.replace(mark, state="failed", digest="", reason=reason)

    def _record(self, shard: Box, stored: np.ndarray | None, mark: Mark) -> Mark:
        index = self.atlas.shard_index(shard)
        if stored is not None:
            self.atlas.store.write(shard, stored)
        elif mark.state == "void" and self.atlas.ledger.mark(index):
            # What an earlier plan wrote there is no longer wanted, or was no data after all.
            self.atlas.store.write(shard, self._nothing(shard))
        self.atlas.ledger.record(index, mark)
        return mark

    def _nothing(self, shard: Box) -> np.ndarray:
        store = self.atlas.store
        return np.zeros((*shard.shape, store.dim), store.dtype)

    def _compute(self, shard: Box, seen: Iterable[Seen]) -> tuple[np.ndarray | None, Mark]:
        out, void = self._nothing(shard), np.ones(shard.shape, bool)
        unwanted = 0
        for part in seen:
            unwanted += int((~part.wanted).sum())
            if part.voxels is not None:
                here = part.cells.shifted([-n for n in shard.start]).slices
                void[here] = self._fill(out[here], part.cells, part.voxels, part.wanted)
        counts, plan = (shard.size, int(void.sum()), unwanted), self.atlas.plan(shard)
        if void.all():
            return None, Mark("void", "", *counts, "", plan)
        return out, Mark("done", digest(out.data), *counts, "", plan, name(self.backend))

    def _fill(
        self, out: np.ndarray, cells: Box, voxels: np.ndarray, wanted: Bool[np.ndarray, "z y x"]
    ) -> Bool[np.ndarray, "z y x"]:
        """Embeds cells into `out`; gives back which of them have no embedding."""
        info, places = self.atlas.info, self.atlas.places
        if isinstance(places, Grid):
            void, found = dense_parts(self.backend, info, cells, voxels, wanted)
        else:
            void, found = given_parts(self.backend, info.normaliser, voxels)
        for local, vectors in found:
            out[local.slices] = self.atlas.store.encode(vectors)
        out[void] = 0
        return void


def _pipeline(
    job: Job, shards: Sequence[Box], reader: ThreadPoolExecutor, pen: ThreadPoolExecutor
) -> Iterator[tuple[Box, Mark]]:
    """Shards with their marks, when they are written: at most one behind the one that computes."""
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
