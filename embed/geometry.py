"""Boxes, grids of locations and nanometres.

Tuples of three are ZYX unless a name ends in `_xyz`; bounds are half-open; voxel coordinates are
continuous with voxel `i` covering `[i, i + 1)`, so its centre is `i + 0.5`. No I/O, no jax.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float, Int

from embed.errors import OutOfBoundsError

Zyx = tuple[int, int, int]
ZyxFloat = tuple[float, float, float]
XyzFloat = tuple[float, float, float]


def zyx(values: Iterable[SupportsIndex]) -> Zyx:
    """Exactly three integers, checked; numpy's become Python's."""
    z, y, x = map(int, values)
    return z, y, x


def zyx_float(values: Iterable[float]) -> ZyxFloat:
    """Exactly three floats, checked."""
    z, y, x = map(float, values)
    return z, y, x


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box of voxels or cells, `start` included and `stop` excluded.

    >>> Box((0, 0, 0), (4, 6, 8)).shape
    (4, 6, 8)
    """

    start: Zyx
    stop: Zyx

    def __post_init__(self) -> None:
        if any(lo >= hi for lo, hi in zip(self.start, self.stop, strict=True)):
            raise ValueError(
                f"a box needs start < stop on every axis; got start_zyx={self.start}, "
                f"stop_zyx={self.stop}"
            )

    @classmethod
    def of_shape(cls, shape: Iterable[int], start: Zyx = (0, 0, 0)) -> "Box":
        """The box of `shape` that begins at `start`."""
        return cls(start, zyx(a + n for a, n in zip(start, shape, strict=True)))

    @property
    def shape(self) -> Zyx:
        """Extent in voxels, ZYX."""
        return zyx(hi - lo for lo, hi in zip(self.start, self.stop, strict=True))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index into a `[z, y, x, ...]` array."""
        z, y, x = map(slice, self.start, self.stop)
        return z, y, x

    def contains(self, other: "Box") -> bool:
        """Whether `other` lies wholly inside."""
        return all(a <= b for a, b in zip(self.start, other.start, strict=True)) and all(
            b <= a for a, b in zip(self.stop, other.stop, strict=True)
        )

    def intersection(self, other: "Box") -> "Box | None":
        """The common part, or None where there is none."""
        start = zyx(map(max, self.start, other.start))
        stop = zyx(map(min, self.stop, other.stop))
        return Box(start, stop) if all(a < b for a, b in zip(start, stop, strict=True)) else None

    def shifted(self, by: Sequence[int]) -> "Box":
        """The same box moved by `by` voxels, ZYX."""
        return Box(
            zyx(a + d for a, d in zip(self.start, by, strict=True)),
            zyx(a + d for a, d in zip(self.stop, by, strict=True)),
        )

    def snapped_out(self, chunk: Zyx) -> "Box":
        """The smallest box of whole chunks (counted from 0) that contains this one.

        >>> Box((1, 0, 5), (4, 4, 9)).snapped_out((4, 4, 4))
        Box(start=(0, 0, 4), stop=(4, 4, 12))
        """
        return Box(
            zyx(a // c * c for a, c in zip(self.start, chunk, strict=True)),
            zyx(-(-b // c) * c for b, c in zip(self.stop, chunk, strict=True)),
        )

    def tiles(self, tile: Zyx) -> "Iterator[Box]":
        """The pieces of this box cut at multiples of `tile` from its start, in z, y, x order."""
        ranges = [range(a, b, n) for a, b, n in zip(self.start, self.stop, tile, strict=True)]
        for start in itertools.product(*ranges):
            stop = zyx(min(a + n, b) for a, n, b in zip(start, tile, self.stop, strict=True))
            yield Box(zyx(start), stop)


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """Where voxels lie in nanometres.

    Attributes:
        voxel_size_nm: edge lengths of a voxel, ZYX.
        origin_nm: position of the lower corner of voxel (0, 0, 0), ZYX. OME-Zarr states the
            centre of that voxel instead; the reader of its metadata turns one into the other.
    """

    voxel_size_nm: ZyxFloat
    origin_nm: ZyxFloat = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v > 0 for v in self.voxel_size_nm):
            raise ValueError(f"a voxel size is three positive lengths in nm (ZYX); got {self}")

    def agrees(self, other: "Frame") -> bool:
        """Whether voxels have one size, to a thousandth, and one place, to half a voxel."""
        sizes = zip(self.voxel_size_nm, other.voxel_size_nm, strict=True)
        origins = zip(self.origin_nm, other.origin_nm, other.voxel_size_nm, strict=True)
        return all(math.isclose(p, q, rel_tol=1e-3) for p, q in sizes) and all(
            abs(p - q) < size / 2 for p, q, size in origins
        )

    def to_nm_xyz(self, voxel: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
        """Positions in nm, XYZ, of continuous voxel coordinates, ZYX."""
        nm = np.asarray(voxel, np.float64) * self.voxel_size_nm + self.origin_nm
        return nm[..., ::-1]

    def to_voxel(self, nm_xyz: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
        """Continuous voxel coordinates, ZYX, of positions in nm, XYZ."""
        nm = np.asarray(nm_xyz, np.float64)[..., ::-1]
        return (nm - self.origin_nm) / self.voxel_size_nm


@dataclasses.dataclass(frozen=True, slots=True)
class Grid:
    """The locations at which embeddings are made: a regular grid of fields of view.

    A location has a cell (its ZYX index on the grid), an id (the cell's index counted in z, y, x
    order with x fastest, so that no table maps ids to places) and a centre (continuous voxels).

    >>> grid = Grid(start=(0, 0, 0), fov=(33, 33, 33), stride=(8, 8, 8), shape=(2, 3, 4))
    >>> grid.size, grid.ids(np.array([[1, 2, 3]]))[0], grid.centres(np.array([[0, 0, 1]]))[0]
    (24, np.int64(23), array([16.5, 16.5, 24.5]))

    Attributes:
        start: first voxel of the field of view of cell (0, 0, 0), ZYX.
        fov: voxels of a field of view, ZYX.
        stride: voxels between neighbouring locations, ZYX.
        shape: number of locations per axis, ZYX.
    """

    start: Zyx
    fov: Zyx
    stride: Zyx
    shape: Zyx

    @classmethod
    def covering(cls, box: Box, fov: Zyx, stride: Zyx) -> "Grid":
        """Every location whose field of view fits in `box`, counted from its start.

        Raises:
            OutOfBoundsError: not even one field of view fits.
        """
        shape = zyx((n - f) // s + 1 for n, f, s in zip(box.shape, fov, stride, strict=True))
        if min(shape) < 1:
            raise OutOfBoundsError(
                f"a box of {box.shape} voxels (ZYX) is smaller than the field of view {fov}; "
                f"it needs at least {fov} voxels"
            )
        return cls(box.start, fov, stride, shape)

    @property
    def size(self) -> int:
        """Number of locations."""
        return math.prod(self.shape)

    @property
    def cells(self) -> Box:
        """Every cell."""
        return Box((0, 0, 0), self.shape)

    def ids(self, cells: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Ids of cells that lie on the grid."""
        _, ny, nx = self.shape
        z, y, x = np.moveaxis(np.asarray(cells, np.int64), -1, 0)
        return (z * ny + y) * nx + x

    def cells_of(self, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 3"]:
        """Cells of ids, ZYX.

        Raises:
            OutOfBoundsError: an id is not of this grid.
        """
        ids = np.asarray(ids, np.int64)
        cells = np.empty((*ids.shape, 3), np.int64)
        try:
            cells[..., 0], cells[..., 1], cells[..., 2] = np.unravel_index(ids, self.shape)
        except ValueError:
            bad = ids[(ids < 0) | (ids >= self.size)][0]
            raise OutOfBoundsError(
                f"no location {bad}: ids run from 0 to {self.size - 1}"
            ) from None
        return cells

    def centres(self, cells: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Centres of the fields of view of `cells`, continuous voxels, ZYX."""
        half = np.asarray(self.fov) / 2
        return np.asarray(cells) * np.asarray(self.stride) + np.asarray(self.start) + half

    def offsets(self, cells: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Voxels from the centre of cell (0, 0, 0) to those of `cells`: whole numbers of them."""
        return np.asarray(cells, np.float64) * np.asarray(self.stride)

    def nearest_cells(self, centres: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, "n 3"]:
        """The cell whose centre is nearest to each position (continuous voxels, ZYX).

        A position may be up to half a stride outside the outermost centres.

        Raises:
            OutOfBoundsError: a position is farther out than that.
        """
        stride = np.asarray(self.stride)
        first = np.asarray(self.start) + np.asarray(self.fov) / 2
        exact = (np.asarray(centres, np.float64) - first) / stride
        last = np.asarray(self.shape) - 1
        # Checked before it is rounded: NaN and the farthest positions have no integer.
        inside = (np.abs(exact - np.clip(exact, 0, last)) <= 0.5).all(axis=-1)
        if not inside.all():
            bad = np.asarray(centres)[~inside][0]
            raise OutOfBoundsError(
                f"voxel {tuple(float(v) for v in np.round(bad, 2))} (ZYX) is outside the "
                f"locations, whose centres run from {tuple(map(float, first))} to "
                f"{tuple(map(float, first + last * stride))}"
            )
        # Half a stride outside still belongs to the border cell; rint may round it outwards.
        return np.clip(np.rint(exact).astype(np.int64), 0, last)

    def within(self, box: Box) -> Box | None:
        """The cells whose field of view lies in a box of voxels; None where there are none."""
        axes = zip(box.start, box.stop, self.start, self.fov, self.stride, strict=True)
        ends = [(-((o - a) // s), (b - f - o) // s + 1) for a, b, o, f, s in axes]
        if any(a >= b for a, b in ends):
            return None
        return Box(zyx(a for a, _ in ends), zyx(b for _, b in ends)).intersection(self.cells)

    def voxels(self, cells: Box) -> Box:
        """The voxels that the fields of view of a box of cells cover."""
        start = zyx(o + a * s for o, a, s in zip(self.start, cells.start, self.stride, strict=True))
        last = (b - 1 for b in cells.stop)
        stop = zyx(
            o + b * s + f
            for o, b, s, f in zip(self.start, last, self.stride, self.fov, strict=True)
        )
        return Box(start, stop)


def thin_axes(voxel_size_nm: ZyxFloat) -> tuple[int, ...]:
    """Axes whose voxels are less than twice as long as the shortest: all, or those of a section.

    >>> thin_axes((45.0, 4.6, 4.6))
    (1, 2)
    """
    return tuple(a for a, v in enumerate(voxel_size_nm) if v < 2 * min(voxel_size_nm))
