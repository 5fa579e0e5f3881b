"""What a map says of segments: mean probabilities of their locations, and their votes."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Float64, Int, UInt64

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.geometry import Box, Zyx, zyx
from serve.gate.caller import require_caller
from serve.locations import Progress
from serve.searching.class_maps import ReadMap
from serve.searching.place_segments import PlaceSegments

# Locations around one that count for it: a ball of 9 steps across each way, and a minute for each
# ten million locations.
_MOST_AROUND = 4200
Found = tuple[UInt64[np.ndarray, " n"], Float32[np.ndarray, "n classes"]]
"""The segments of some locations with data, none of them 0, and their probabilities."""


@dataclasses.dataclass(frozen=True, eq=False)
class SegmentTable:
    """A row for each segment that has a location with data.

    Attributes:
        classes: names, in the order of the columns.
        segments: ids, ascending.
        locations: with data, of each.
        votes: locations at which each class is the likeliest.
        means: mean probabilities.
    """

    classes: tuple[str, ...]
    segments: UInt64[np.ndarray, " m"]
    locations: Int[np.ndarray, " m"]
    votes: Int[np.ndarray, "m classes"]
    means: Float64[np.ndarray, "m classes"]

    @property
    def elected(self) -> list[str]:
        """The class with most votes; of those that have as many, the one of the highest mean."""
        best = self.votes == self.votes.max(axis=1, keepdims=True)
        chosen = np.where(best, self.means, -1).argmax(axis=1)
        return [self.classes[number] for number in chosen.tolist()]


def summarise_segments(
    atlas: Atlas,
    read: ReadMap,
    segments: PlaceSegments,
    *,
    radius_nm: float = 0.0,
    progress: Progress | None = None,
) -> SegmentTable:
    """Summarises a map by segment; one shard is in memory at a time.

    Args:
        atlas: whose map it is.
        read: the map.
        segments: in which its locations lie.
        radius_nm: before they vote, the probabilities of a location are averaged over those of
            its segment within this distance; 0 leaves them as they are.
        progress: called with the locations that are done and all there are.

    Raises:
        ConfigError: the radius is no length, or holds too many locations.
        DataError: the map or a segmentation cannot be read, or the segments are not known.
    """
    if not (math.isfinite(radius_nm) and radius_nm >= 0):
        raise ConfigError(f"a radius is a length in nm, 0 or more; got {radius_nm:g}")
    segments.require()
    report = progress or (lambda done, total: None)
    parts = _of_given if atlas.info.points is not None else _of_grid
    totals = [
        _summed(ids, probabilities)
        for ids, probabilities in parts(atlas, read, segments, radius_nm, report)
        if len(ids)
    ]
    count = len(read.classes)
    if not totals:
        nothing = np.empty((0, count))
        none = np.empty(0, np.int64)
        return SegmentTable(
            read.classes, none.astype(np.uint64), none, nothing.astype(int), nothing
        )
    ids, sums = (np.concatenate(column) for column in zip(*totals, strict=True))
    whole, sums = _merged(ids, sums)
    locations = sums[:, 0].astype(np.int64)
    votes, means = sums[:, 1 : 1 + count], sums[:, 1 + count :] / sums[:, :1]
    return SegmentTable(read.classes, whole, locations, votes.astype(np.int64), means)


def _summed(
    ids: UInt64[np.ndarray, " n"], probabilities: Float32[np.ndarray, "n classes"]
) -> tuple[UInt64[np.ndarray, " m"], Float64[np.ndarray, "m sums"]]:
    """Of each segment its locations, then its votes and the sums of its probabilities by class."""
    votes = np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    return _merged(ids, np.concatenate([np.ones((len(ids), 1)), votes, probabilities], axis=1))


def _merged(
    ids: UInt64[np.ndarray, " n"], values: Float64[np.ndarray, "n columns"]
) -> tuple[UInt64[np.ndarray, " m"], Float64[np.ndarray, "m columns"]]:
    """The sums of the rows of each id."""
    found, owner = np.unique(ids, return_inverse=True)
    columns = [np.bincount(owner, column, len(found)) for column in values.T]
    return found, np.stack(columns, axis=1)


def _of_grid(
    atlas: Atlas, read: ReadMap, segments: PlaceSegments, radius_nm: float, report: Progress
) -> Iterator[Found]:
    offsets = _ball(atlas, radius_nm)
    halo = zyx(max(offset[axis] for offset in offsets) for axis in range(3))
    done = 0
    for shard in atlas.shards:
        require_caller()
        around = [
            (max(a - h, 0), min(b + h, n))
            for a, b, h, n in zip(shard.start, shard.stop, halo, atlas.grid.shape, strict=True)
        ]
        cells = Box(zyx(a for a, _ in around), zyx(b for _, b in around))
        beyond = [
            (h - (a - low), h - (high - b))
            for a, b, h, (low, high) in zip(shard.start, shard.stop, halo, around, strict=True)
        ]
        probabilities = read.of_cells(cells)
        ids = np.where(probabilities.any(axis=-1), segments.of_cells(cells), 0)
        ids, probabilities = np.pad(ids, beyond), np.pad(probabilities, [*beyond, (0, 0)])
        yield _averaged(ids, probabilities, shard.shape, halo, offsets)
        done += shard.size
        report(done, atlas.planned)


def _ball(atlas: Atlas, radius_nm: float) -> list[Zyx]:
    """Steps from a location to all within a distance, itself included.

    Raises:
        ConfigError: there are too many.
    """
    step = np.multiply(atlas.grid.stride, atlas.frame.voxel_size_nm)
    reach = np.floor(radius_nm / step)
    if 4 / 3 * math.pi * np.prod(radius_nm / step) > _MOST_AROUND:
        most = (_MOST_AROUND * 3 / 4 / math.pi * np.prod(step)) ** (1 / 3)
        raise ConfigError(
            f"a radius of {radius_nm:g} nm holds more than {_MOST_AROUND:,} locations; take "
            f"{math.floor(most)} nm or less"
        )
    ranges = [range(-int(n), int(n) + 1) for n in reach]
    near = (zyx(offset) for offset in itertools.product(*ranges))
    return [offset for offset in near if np.linalg.norm(offset * step) <= radius_nm + 1e-6]


def _averaged(
    ids: UInt64[np.ndarray, "z y x"],
    probabilities: Float32[np.ndarray, "z y x classes"],
    shape: Zyx,
    halo: Zyx,
    offsets: list[Zyx],
) -> Found:
    """The middle of a block, each location averaged over those of its segment around it."""

    def at(offset: Zyx) -> tuple[slice, ...]:
        corner = zyx(h + d for h, d in zip(halo, offset, strict=True))
        return Box.of_shape(shape, corner).slices

    own = ids[at((0, 0, 0))]
    total = np.zeros((*shape, probabilities.shape[-1]), np.float32)
    count = np.zeros(shape, np.float32)
    for offset in offsets:
        same = ids[at(offset)] == own
        total += probabilities[at(offset)] * same[..., None]
        count += same
    known = own > 0
    return own[known], total[known] / count[known][:, None]


def _of_given(
    atlas: Atlas, read: ReadMap, segments: PlaceSegments, radius_nm: float, report: Progress
) -> Iterator[Found]:
    every = np.arange(atlas.grid.size)
    probabilities, ids = read.of(every), segments.of(every)
    known = np.flatnonzero((ids > 0) & probabilities.any(axis=1))
    order = known[np.argsort(ids[known], kind="stable")]
    starts = np.flatnonzero(np.diff(ids[order], prepend=np.uint64(0)))
    done = 0
    for rows in np.split(order, starts[1:]):
        require_caller()
        found = probabilities[rows]
        if radius_nm > 0 and len(rows):
            found = _near_mean(atlas.positions_nm_xyz(rows), found, radius_nm)
        yield ids[rows], found
        done += len(rows)
        report(done, len(order))


def _near_mean(
    places_nm: Float64[np.ndarray, "n 3"],
    values: Float32[np.ndarray, "n classes"],
    radius_nm: float,
) -> Float32[np.ndarray, "n classes"]:
    from scipy.spatial import cKDTree

    pairs = cKDTree(places_nm).query_pairs(radius_nm, output_type="ndarray")
    total, count = values.copy(), np.ones((len(values), 1), np.float32)
    for one, other in (pairs.T, pairs.T[::-1]):
        np.add.at(total, one, values[other])
        np.add.at(count, one, 1)
    return total / count
