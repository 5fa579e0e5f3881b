"""An atlas with its encoder made ready: how one shard is read, embedded, written and marked."""

import dataclasses
from collections.abc import Iterable, Iterator

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

# Bytes of voxels that are read at once: all of a shard at usual strides, parts of it at wide ones.
_READ = 64 * 2**20
Attempt = tuple[np.ndarray | None, Mark]
"""The embeddings of a shard as they are stored, None where none are, and the mark they earn."""


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

    def attempt(self, shard: Box, seen: Iterable[Seen] | None = None) -> Attempt:
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

    def write(self, shard: Box, attempt: Attempt) -> Mark:
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
