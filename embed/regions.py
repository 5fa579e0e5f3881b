"""What of a volume is embedded: boxes, and within them what a mask or some segments cover."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from embed.errors import MismatchError
from embed.geometry import Box, Frame, Grid
from embed.volume import Volume, VolumeSource, open_volume_source


@dataclasses.dataclass(frozen=True)
class Region:
    """A part of a volume.

    A location belongs to it when its field of view lies in the box and its centre where the mask is
    not 0, or on one of the segments.

    Attributes:
        box: voxels of the volume.
        mask: integers or booleans, of any voxel size; None is everywhere.
        segments: ids in the mask; empty stands for all but 0.
    """

    box: Box
    mask: VolumeSource | None = None
    segments: tuple[int, ...] = ()


class OpenRegion:
    """A region beside the grid it is seen on. Safe to use from many threads."""

    def __init__(self, region: Region, grid: Grid, frame: Frame):
        self.region = region
        self.cells = grid.within(region.box)
        self._grid = grid
        self._frame = frame
        self._segments = np.array(sorted(region.segments), np.uint64)

    def covers(self, cells: Box) -> Bool[np.ndarray, "z y x"]:
        """Which cells of a box of the grid belong to it.

        Raises:
            DataError: the mask cannot be read.
        """
        covered = np.zeros(cells.shape, bool)
        common = self.cells.intersection(cells) if self.cells else None
        if common is None:
            return covered
        local = common.shifted([-n for n in cells.start])
        covered[local.slices] = True if self.region.mask is None else self._masked(common)
        return covered

    @functools.cached_property
    def _mask(self) -> Volume:
        assert self.region.mask is not None
        return open_volume_source(self.region.mask)

    def _masked(self, cells: Box) -> Bool[np.ndarray, "z y x"]:
        """Whether the mask covers the centres of cells; beyond its end it does not."""
        corners = np.array([cells.start, np.subtract(cells.stop, 1)])
        near, far = self._voxels_of_mask(self._grid.centres(corners))
        axes = [np.linspace(a, b, n) for a, b, n in zip(near, far, cells.shape, strict=True)]
        rows = [np.floor(axis + 1e-6).astype(int) for axis in axes]  # a centre on an edge goes up
        edges = zip(rows, self._mask.box.start, self._mask.box.stop, strict=True)
        inside = [(row >= first) & (row < end) for row, first, end in edges]
        covered = np.zeros(cells.shape, bool)
        if all(axis.any() for axis in inside):
            z, y, x = (row[axis] for row, axis in zip(rows, inside, strict=True))
            covered[np.ix_(*inside)] = self._chosen(self._mask.read_crossings(z, y, x))
        return covered

    def _voxels_of_mask(self, centres: np.ndarray) -> np.ndarray:
        return self._mask.frame.to_voxel(self._frame.to_nm_xyz(centres))

    def _chosen(self, values: np.ndarray) -> Bool[np.ndarray, "z y x"]:
        if not self._segments.size:
            return values != 0
        return np.isin(values.astype(np.uint64), self._segments)


def require_mask(volume: Volume, mask: Volume) -> None:
    """Checks that a mask or segmentation lies on a volume.

    Raises:
        MismatchError: it holds no integers, or does not overlap the volume.
    """
    if mask.dtype.kind not in "ui":
        raise MismatchError(
            f"{mask.name} holds {mask.dtype.name}; a mask or segmentation holds integers or "
            "booleans"
        )
    ends = (np.array([v.box.start, v.box.stop], float) for v in (volume, mask))
    corners = [v.frame.to_nm_xyz(e) for v, e in zip((volume, mask), ends, strict=True)]
    (low, high), (mask_low, mask_high) = corners
    if (np.maximum(low, mask_low) >= np.minimum(high, mask_high)).any():
        raise MismatchError(
            f"{mask.name} covers {_span(mask_low, mask_high)} nm (XYZ) and {volume.name} "
            f"{_span(low, high)}: they have no place in common"
        )


def union(regions: Sequence[OpenRegion], cells: Box) -> Bool[np.ndarray, "z y x"]:
    """Which cells of a box belong to at least one region."""
    return functools.reduce(np.logical_or, (region.covers(cells) for region in regions))


def _span(low: np.ndarray, high: np.ndarray) -> str:
    return " to ".join("(" + ", ".join(f"{v:g}" for v in end) + ")" for end in (low, high))
