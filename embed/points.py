"""Given places at which embeddings are made: a list of fields of view instead of a grid."""

import dataclasses
import io
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Shaped, UInt64

from embed.errors import DataError, NotFoundError, OutOfBoundsError
from embed.geometry import Box, Zyx, ZyxFloat, zyx, zyx_float
from embed.storage import digest, reports_storage, write_bytes

# Edge of the blocks that places are ordered by: about a chunk of most stores, so that places in a
# row read the same chunks.
_NEAR = 64
_FARTHEST = 2.0**53
_FORMAT = 1
_ARRAYS = ("positions", "segments", "sources", "fov", "voxel_size_nm")


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Places in a volume, each seen through a field of view; answers what `Grid` answers.

    The id of a place is its row, and its cell is `(0, 0, id)`. Places may be the same. Make them
    with `Points.at`, which puts them in order.

    >>> at = np.array([[9.5, 8.5, 7.5]])
    >>> points = Points.at(at, fov=(3, 3, 3), voxel_size_nm=(10.0, 10.0, 10.0))
    >>> points.shape, points.box(0)
    ((1, 1, 1), Box(start=(8, 7, 6), stop=(11, 10, 9)))

    Attributes:
        positions: the places, continuous voxels, ZYX.
        segments: the segment that each is in; 0 where it is in none or that is not known.
        sources: what names each in the file that it was read from: a row, an id, a node.
        fov: voxels of a field of view, ZYX.
        voxel_size_nm: edge lengths of a voxel, ZYX: "nearest" is nearest in nm.
    """

    positions: Float64[np.ndarray, "n 3"]
    segments: UInt64[np.ndarray, " n"]
    sources: UInt64[np.ndarray, " n"]
    fov: Zyx
    voxel_size_nm: ZyxFloat

    def __post_init__(self) -> None:
        if not self.positions.size:
            raise DataError("there are no points: at least one place is needed")
        # Also false for NaN. Beyond it no float64 tells neighbouring voxels apart.
        fine = np.all(np.abs(self.positions) < _FARTHEST, axis=1)
        if not fine.all():
            row = int(np.argmin(fine))
            raise DataError(
                f"point {self.sources[row]} is at voxel {tuple(self.positions[row].tolist())} "
                "(ZYX), which is no place: three finite numbers are needed"
            )

    @classmethod
    def at(
        cls,
        positions: Float[np.ndarray, "n 3"],
        *,
        fov: Zyx,
        voxel_size_nm: ZyxFloat,
        segments: UInt64[np.ndarray, " n"] | None = None,
        sources: UInt64[np.ndarray, " n"] | None = None,
    ) -> "Points":
        """The places in the order in which their neighbours in space follow each other.

        Args:
            positions: continuous voxels, ZYX.
            fov: voxels of a field of view, ZYX.
            voxel_size_nm: ZYX.
            segments: of each place; none if not given.
            sources: of each place; its row if not given.

        Raises:
            DataError: there are no places, or one is not finite.
        """
        rows = np.arange(len(positions), dtype=np.uint64)
        points = cls(
            positions=np.asarray(positions, np.float64),
            segments=np.zeros_like(rows) if segments is None else segments,
            sources=rows if sources is None else sources,
            fov=fov,
            voxel_size_nm=zyx_float(voxel_size_nm),
        )
        return points.take(_in_space(points.positions))

    @property
    def size(self) -> int:
        """Number of places."""
        return len(self.positions)

    @property
    def shape(self) -> Zyx:
        """Places per axis of a grid that is one row: `(1, 1, size)`."""
        return 1, 1, self.size

    @property
    def cells(self) -> Box:
        """Every cell."""
        return Box((0, 0, 0), self.shape)

    def ids(self, cells: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Ids of cells that there are."""
        return np.asarray(cells, np.int64)[..., 2]

    def cells_of(self, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 3"]:
        """Cells of ids, ZYX.

        Raises:
            OutOfBoundsError: there is no such place.
        """
        ids = np.asarray(ids, np.int64)
        if ids.size and (ids.min() < 0 or ids.max() >= self.size):
            bad = ids[(ids < 0) | (ids >= self.size)][0]
            raise OutOfBoundsError(f"no location {bad}: ids run from 0 to {self.size - 1}")
        return np.stack([np.zeros_like(ids), np.zeros_like(ids), ids], axis=-1)

    def centres(self, cells: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """The places of cells as they were given, continuous voxels, ZYX."""
        return self.positions[self.ids(cells)]

    def offsets(self, cells: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Voxels from the first place to those of cells, ZYX."""
        return self.centres(cells) - self.positions[0]

    def nearest_cells(self, centres: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, "n 3"]:
        """The cell of the place that is nearest in nm to each position (continuous voxels, ZYX).

        Of places that are the same, the one with the smallest id.

        Raises:
            OutOfBoundsError: the nearest is farther away than half the longest edge of the field
                of view, so that it hardly shows the position.
        """
        wanted = np.asarray(centres, np.float64)
        ids, apart = self.nearest(wanted)
        near = apart <= self.reach_nm
        if not near.all():
            row = int(np.argmin(near))
            told, place = (
                tuple(float(v) for v in np.round(at, 2))
                for at in (wanted[row], self.positions[ids[row]])
            )
            nearest = f"; the nearest is {apart[row]:.0f} nm away, at {place}"
            raise OutOfBoundsError(
                f"no point within {self.reach_nm:.0f} nm (half the field of view) of voxel {told} "
                f"(ZYX){nearest if np.isfinite(apart[row]) else ''}"
            )
        return self.cells_of(ids)

    @property
    def reach_nm(self) -> float:
        """Half the longest edge of the field of view: how far away a place stands for."""
        return max(n * size for n, size in zip(self.fov, self.voxel_size_nm, strict=True)) / 2

    def nearest(
        self, centres: Float[np.ndarray, "n 3"]
    ) -> tuple[Int[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """Ids of the nearest places and their distances in nm; infinite from what is no place."""
        tree, first = self._tree
        finite = np.isfinite(centres).all(axis=-1)
        apart, found = tree.query(np.where(finite[:, None], centres, 0) * self.voxel_size_nm)
        return first[found].astype(np.int64), np.where(finite, apart, np.inf)

    def starts(self, cells: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, "n 3"]:
        """First voxel of the field of view of each cell, ZYX: the nearest one to the place."""
        return self._starts[self.ids(cells)]

    def box(self, location: int) -> Box:
        """The voxels of the field of view of the place with this id.

        Raises:
            OutOfBoundsError: there is no such place.
        """
        start = self.starts(self.cells_of(np.array([location])))[0]
        return Box.of_shape(self.fov, zyx(start))

    def voxels(self, cells: Box) -> Box:
        """The smallest box of voxels with the fields of view of a box of cells in it."""
        starts = self._starts[cells.slices[2]]
        return Box(zyx(starts.min(axis=0)), zyx(starts.max(axis=0) + np.asarray(self.fov)))

    def inside(self, box: Box) -> Bool[np.ndarray, " n"]:
        """Whether the field of view of each place lies wholly in a box of voxels."""
        stops = self._starts + np.asarray(self.fov)
        return ((self._starts >= box.start) & (stops <= box.stop)).all(axis=1)

    def take(self, which: Shaped[np.ndarray, " m"]) -> "Points":
        """Some of the places, by mask or by id, in that order.

        Raises:
            DataError: none are left.
        """
        return dataclasses.replace(
            self,
            positions=self.positions[which],
            segments=self.segments[which],
            sources=self.sources[which],
        )

    def digest(self) -> str:
        """32 hexadecimal digits that differ where anything of the places does."""
        return digest(*(np.ascontiguousarray(array).tobytes() for array in self._arrays()))

    def save(self, path: Path) -> None:
        """Writes the places to a file, whole or not at all.

        Raises:
            StorageError: the disk is full, read-only or not ours.
        """
        content = io.BytesIO()
        named: dict[str, Any] = dict(zip(_ARRAYS, self._arrays(), strict=True))
        np.savez(content, format=np.array(_FORMAT), digest=np.array(self.digest()), **named)
        write_bytes(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Points":
        """The places that `save` wrote.

        Raises:
            NotFoundError: there is no such file.
            DataError: it is damaged, or of a newer version of this program.
        """
        with reports_storage(f"read {path}"):
            if not path.is_file():
                raise NotFoundError(f"no points at {path}")
            content = io.BytesIO(path.read_bytes())
        try:
            with np.load(content, allow_pickle=False) as file:
                found = {name: file[name] for name in ("format", "digest", *_ARRAYS)}
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is damaged: no points can be read from it") from error
        if found["format"] != _FORMAT:
            raise DataError(f"{path} was written by a newer version: update voxkin to read it")
        points = cls(
            positions=found["positions"].astype(np.float64),
            segments=found["segments"].astype(np.uint64),
            sources=found["sources"].astype(np.uint64),
            fov=zyx(found["fov"]),
            voxel_size_nm=zyx_float(found["voxel_size_nm"]),
        )
        if points.digest() != str(found["digest"]):
            raise DataError(
                f"{path} is damaged: its content does not match its checksum; make it anew"
            )
        return points

    def _arrays(self) -> list[Shaped[np.ndarray, "..."]]:
        """Everything, in the order of `_ARRAYS` and in little-endian bytes."""
        return [
            self.positions.astype("<f8"),
            self.segments.astype("<u8"),
            self.sources.astype("<u8"),
            np.asarray(self.fov, "<i8"),
            np.asarray(self.voxel_size_nm, "<f8"),
        ]

    @cached_property
    def _starts(self) -> Int[np.ndarray, "n 3"]:
        """First voxel of each field of view, ZYX."""
        return np.rint(self.positions - np.asarray(self.fov) / 2).astype(np.int64)

    @cached_property
    def _tree(self) -> tuple[Any, Int[np.ndarray, " m"]]:
        """A KD-tree of the different places in nm, and the first id of each."""
        from scipy.spatial import KDTree

        places, first = np.unique(self.positions, axis=0, return_index=True)
        return KDTree(places * np.asarray(self.voxel_size_nm)), first


def _in_space(positions: Float64[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """The order of places along a Morton curve through blocks; within a block as they came."""
    blocks = np.floor(positions / _NEAR).astype(np.int64)
    blocks -= blocks.min(axis=0)
    bits = int(blocks.max()).bit_length()
    blocks >>= max(0, bits - 21)  # 63 bits hold 21 of each axis
    code = np.zeros(len(blocks), np.int64)
    for bit in range(min(bits, 21)):
        for axis in range(3):  # x turns fastest
            code |= ((blocks[:, 2 - axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")
