"""Dense inference: an embedding at every location of a volume, written shard by shard.

The core knows no engine. `remaining` lists the work that `embed.layout` laid out, and `run_shard`
does one piece from nothing but the atlas' path and a box of cells, so any engine that can call a
function can run it. A shard computed twice is the same bit for bit.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
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
from embed.geometry import Box, Grid
from embed.given_shard import given_parts, read_fields
from embed.ledger import Mark
from embed.storage import digest

Progress = Callable[[Box, Mark], None]


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
    return job.finished(shard) or job.write(shard, job.attempt(shard, lambda: job.read(shard)))


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
        """
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

    def read(self, shard: Box) -> np.ndarray:
        """The voxels that the locations of a shard see; DataError where they cannot be read.

        A block of them on a grid; of given places a stack of fields of view.
        """
        atlas, places = self.atlas, self.atlas.places
        if isinstance(places, Grid):
            return atlas.volume.read(places.voxels(shard))
        return read_fields(atlas.volume, atlas.segmentation, places, shard)

    def attempt(self, shard: Box, read: Callable[[], np.ndarray]) -> tuple[np.ndarray | None, Mark]:
        """The embeddings of a shard as they are stored, and the mark they earn.

        None stands for embeddings that are not written: of a void, and of a shard that failed.
        """
        plan = self.atlas.plan(shard)
        try:
            wanted = self.atlas.wanted(shard)
            if not wanted.any():
                return None, Mark("void", "", shard.size, shard.size, shard.size, "", plan)
            return self._compute(shard, read(), wanted)
        except DataError as error:
            return None, Mark("failed", locations=shard.size, reason=str(error), plan=plan)

    def write(self, shard: Box, attempt: tuple[np.ndarray | None, Mark]) -> Mark:
        """Writes a shard, then its mark; StorageError where the disk refuses."""
        stored, mark = attempt
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

    def _compute(
        self, shard: Box, voxels: np.ndarray, wanted: Bool[np.ndarray, "z y x"]
    ) -> tuple[np.ndarray | None, Mark]:
        void, parts = self._parts(shard, voxels, wanted)
        counts = (shard.size, int(void.sum()), int((~wanted).sum()))
        plan = self.atlas.plan(shard)
        if void.all():
            return None, Mark("void", "", *counts, "", plan)
        out = self._nothing(shard)
        for cells, vectors in parts:
            out[cells.slices] = self.atlas.store.encode(vectors)
        out[void] = 0
        return out, Mark("done", digest(out.tobytes()), *counts, "", plan, name(self.backend))

    def _parts(
        self, shard: Box, voxels: np.ndarray, wanted: Bool[np.ndarray, "z y x"]
    ) -> tuple[Bool[np.ndarray, "z y x"], Iterator[tuple[Box, np.ndarray]]]:
        """Which cells have no embedding, and the embeddings of the others, piece by piece."""
        info, places = self.atlas.info, self.atlas.places
        if isinstance(places, Grid):
            return dense_parts(self.backend, info, shard, voxels, wanted)
        masked = info.segmentation is not None
        return given_parts(self.backend, info.normaliser, voxels, masked=masked)


def _pipeline(
    job: Job, shards: Sequence[Box], reader: ThreadPoolExecutor, pen: ThreadPoolExecutor
) -> Iterator[tuple[Box, Mark]]:
    """Shards with their marks, when they are written: at most one behind the one that computes."""
    ahead: Future[np.ndarray] | None = None
    behind: tuple[Box, Future[Mark]] | None = None
    for i, shard in enumerate(shards):
        now = ahead or reader.submit(job.read, shard)
        ahead = reader.submit(job.read, shards[i + 1]) if i + 1 < len(shards) else None
        found = job.finished(shard)  # by another process at the same atlas
        attempt = None if found else job.attempt(shard, now.result)
        if behind:
            yield behind[0], behind[1].result()
        if found:
            behind = None
            yield shard, found
        elif attempt:
            behind = (shard, pen.submit(job.write, shard, attempt))
    if behind:
        yield behind[0], behind[1].result()


@functools.lru_cache(maxsize=2)
def _job(path: Path, revision: tuple[str, ...]) -> Job:
    """One job per process and atlas, so that the network is compiled once."""
    return Job.open(Atlas.open(path))


def _revision(path: Path) -> tuple[str, ...]:
    """What tells that regions were added to an atlas, or that another took its place."""
    changed = (path / "atlas.json").stat().st_mtime_ns if (path / "atlas.json").exists() else 0
    return (str(changed), *sorted(file.name for file in (path / "regions").glob("*.json")))
