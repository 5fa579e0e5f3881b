"""Places inside the segments of a segmentation of any size, read block by block."""

import dataclasses
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt64

from embed.errors import DataError, OutOfBoundsError
from embed.geometry import Box, Zyx, zyx
from embed.pointfiles.table import PointTable
from embed.segments import depth, numbered
from embed.volume import Volume

# Voxels per edge that are read at once, about: 130 MB of uint64.
_BLOCK = 256
# Voxels to choose from need be no nearer to each other than this; it is an eighth of the work.
_THINNED_NM = 20.0
# Candidates that are gathered before the best of each segment are kept.
_GATHERED = 1_000_000


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentPlaces:
    """Places inside segments, and the segments that have none.

    Attributes:
        table: the places, those of a segment in a row; a place's source counts from 0 within its
            segment.
        shallow: segments that are there, but nowhere so thick that a place is deep enough, or only
            so near the edge of the volume that no field of view fits.
        absent: segments that were asked for and are not there.
    """

    table: PointTable | None
    shallow: UInt64[np.ndarray, " k"]
    absent: UInt64[np.ndarray, " l"]


@dataclasses.dataclass(frozen=True, eq=False)
class _Candidates:
    """Voxels that could be places.

    Attributes:
        segment: of each.
        rank: how many voxels of the segment in the same cell are drawn before it.
        draw: a number drawn for each voxel, no two the same.
        voxel: the index of each in the volume, x fastest.
    """

    segment: UInt64[np.ndarray, " n"]
    rank: Int[np.ndarray, " n"]
    draw: UInt64[np.ndarray, " n"]
    voxel: Int[np.ndarray, " n"]

    def best(self, count: int) -> "_Candidates":
        """The first `count` of each segment, in order of segment, rank and draw."""
        order = np.lexsort((self.draw, self.rank, self.segment))
        kept = order[_places_in_runs(self.segment[order]) < count]
        return _Candidates(*(column[kept] for column in self._columns()))

    @classmethod
    def joined(cls, parts: list["_Candidates"]) -> "_Candidates":
        """All of several, one after another."""
        columns = zip(*(part._columns() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def _columns(self) -> tuple[Shaped[np.ndarray, " n"], ...]:
        return self.segment, self.rank, self.draw, self.voxel


def points_of_segments(
    segmentation: Volume,
    fov: Zyx,
    per_segment: int,
    *,
    segments: Iterable[int] | None = None,
    depth_nm: float = 30.0,
    seed: int = 0,
) -> SegmentPlaces:
    """Draws places deep inside segments, spread over each.

    A segment gets no second place within a cell the size of the field of view before it has one in
    every cell that it enters. The result is a function of the arguments, not of how the volume is
    stored or read; memory grows with the number of places and segments, not with the volume.

    Args:
        segmentation: integer ids on the grid of the volume to embed, 0 for none.
        fov: voxels of a field of view, ZYX; those around all places fit in the volume, and the
            voxel in their middle, at `fov // 2`, is of the segment.
        per_segment: places of each segment, at most.
        segments: ids; all if not given.
        depth_nm: of places below the surface of their segment.
        seed: another gives other places.

    Raises:
        DataError: the volume holds no ids, or a chunk cannot be read.
    """
    _require_usable(segmentation, fov)
    wanted = None if segments is None else np.array(sorted(set(segments)), np.uint64)
    there = np.zeros(0, np.uint64)
    chosen: list[_Candidates] = []
    for core in segmentation.box.tiles(_block(fov)):
        ids, found = _survey(segmentation, core, fov, wanted, depth_nm, seed)
        there = np.union1d(there, ids)
        chosen.append(found.best(per_segment))
        gathered = sum(len(part.segment) for part in chosen[1:])
        if gathered > max(_GATHERED, len(chosen[0].segment)):
            chosen = [_Candidates.joined(chosen).best(per_segment)]
    best = _Candidates.joined(chosen).best(per_segment)
    return SegmentPlaces(
        table=_table(segmentation, fov, best) if len(best.segment) else None,
        shallow=np.setdiff1d(there, best.segment),
        absent=np.setdiff1d(there[:0] if wanted is None else wanted, there),
    )


def _require_usable(segmentation: Volume, fov: Zyx) -> None:
    if segmentation.dtype.kind not in "iu":
        raise DataError(
            f"{segmentation.name!r} holds {segmentation.dtype}; the ids of a segmentation are "
            "whole numbers"
        )
    if any(n < f for n, f in zip(segmentation.box.shape, fov, strict=True)):
        raise OutOfBoundsError(
            f"{segmentation.name!r} of {segmentation.box.shape} voxels (ZYX) is smaller than the "
            f"field of view {fov}"
        )


def _block(fov: Zyx) -> Zyx:
    """Voxels of a block, ZYX: whole cells, so that a voxel's rank in its cell is known at once."""
    return zyx(f * max(1, _BLOCK // f) for f in fov)


def _survey(
    segmentation: Volume,
    core: Box,
    fov: Zyx,
    wanted: UInt64[np.ndarray, " w"] | None,
    depth_nm: float,
    seed: int,
) -> tuple[UInt64[np.ndarray, " s"], _Candidates]:
    """The segments in a block, and the voxels in it that could be places."""
    size = np.asarray(segmentation.frame.voxel_size_nm)
    step = np.maximum(1, min(_THINNED_NM, depth_nm) // size).astype(int)
    box = _with_halo(segmentation.box, core, step, depth_nm / size)
    labels, ids = numbered(segmentation.read(box))
    if ids.min() < 0:
        raise DataError(f"{segmentation.name!r} has a segment {ids.min()}; ids start at 0")
    ids = ids.astype(np.uint64)
    inner = core.shifted([-a for a in box.start])
    asked = np.bincount(labels[inner.slices].ravel(), minlength=len(ids)) > 0
    asked[0] = False
    if wanted is not None:
        asked &= np.isin(ids, wanted)
    thin = labels[:: step[0], :: step[1], :: step[2]]
    fine = asked[thin] & _eligible(segmentation.box, core, box, fov, step, thin.shape)
    if fine.any():
        fine &= depth(thin, step * size, depth_nm) >= depth_nm
    places = np.argwhere(fine) * step + box.start - segmentation.box.start
    found = _candidates(ids[thin[fine]], places, segmentation.box.shape, fov, seed)
    return ids[asked], found


def _with_halo(
    whole: Box, core: Box, step: Int[np.ndarray, "3"], halo: Float[np.ndarray, "3"]
) -> Box:
    """A block with as much around it as depth depends on.

    It begins a whole number of steps from the start of the volume, so that all blocks agree on
    the voxels that are looked at.
    """
    around = (np.ceil(halo / step).astype(int) + 1) * step
    low = (np.asarray(core.start) - whole.start - around) // step * step
    start = np.maximum(low, 0) + whole.start
    stop = np.minimum(np.asarray(core.stop) + around, whole.stop)
    return Box(zyx(start), zyx(stop))


def _eligible(
    whole: Box, core: Box, box: Box, fov: Zyx, step: Int[np.ndarray, "3"], shape: tuple[int, ...]
) -> Bool[np.ndarray, "z y x"]:
    """Which voxels of a thinned box are of its core and the middle of a field of view."""
    half = np.asarray(fov) // 2
    room = Box(zyx(half + whole.start), zyx(half + whole.stop - fov + 1))
    fine = np.zeros(shape, bool)
    part = room.intersection(core)
    if part is not None:
        start, stop = (-(-(np.asarray(end) - box.start) // step) for end in (part.start, part.stop))
        fine[tuple(map(slice, start.tolist(), stop.tolist()))] = True
    return fine


def _candidates(
    segment: UInt64[np.ndarray, " n"],
    places: Int[np.ndarray, "n 3"],
    shape: Zyx,
    fov: Zyx,
    seed: int,
) -> _Candidates:
    """Voxels, counted from the start of the volume, with their ranks and draws."""
    voxel = np.ravel_multi_index(tuple(places.T), shape).astype(np.int64)
    grid = zyx(-(-n // f) for n, f in zip(shape, fov, strict=True))
    cell = np.ravel_multi_index(tuple((places // fov).T), grid)
    draw = _mixed(voxel.astype(np.uint64) + _mixed(np.array([seed % 2**64], np.uint64)))
    order = np.lexsort((draw, cell, segment))
    rank = _places_in_runs(segment[order], cell[order])
    return _Candidates(segment[order], rank, draw[order], voxel[order])


def _places_in_runs(*columns: Shaped[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Of each row, how many of the rows right before it are the same."""
    index = np.arange(len(columns[0]))
    begins = index == 0
    for column in columns:
        begins[1:] |= column[1:] != column[:-1]
    return index - np.maximum.accumulate(np.where(begins, index, 0))


def _mixed(x: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """A permutation of all 64-bit numbers that looks random: SplitMix64, Steele et al. 2014."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _table(segmentation: Volume, fov: Zyx, best: _Candidates) -> PointTable:
    voxels = np.stack(np.unravel_index(best.voxel, segmentation.box.shape), axis=1)
    # The centre of the field of view that has the voxel in its middle; it differs from the
    # voxel's own where the field of view is an even number of voxels.
    half = np.asarray(fov) / 2 - np.asarray(fov) // 2
    return PointTable(
        name=segmentation.name,
        frame=segmentation.frame,
        positions=voxels + np.asarray(segmentation.box.start) + half,
        segments=best.segment,
        sources=_places_in_runs(best.segment).astype(np.uint64),
        unit="voxel",
    )
