"""Everything above a similarity: each location compared, a shard in memory at a time."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int

from embed.atlas import Atlas
from embed.geometry import Box
from serve.aims import Aim
from serve.locations import box_ids, unit
from serve.place_segments import PlaceSegments
from serve.queries import Filters
from serve.selection import cell_boxes, passes

AT_ONCE = 10_000
"""Places of one part: as a message some hundred kilobytes."""


@dataclasses.dataclass(frozen=True, eq=False)
class Scanned:
    """Some of what was found, and how far the scan is.

    Attributes:
        ids: of locations, in the order of the store.
        similarities: of the same.
        shards_done: that have been compared.
        shards: in all.
    """

    ids: Int[np.ndarray, " n"]
    similarities: Float32[np.ndarray, " n"]
    shards_done: int
    shards: int


def scan(
    atlas: Atlas, segments: PlaceSegments, aim: Aim, at_least: float, filters: Filters
) -> Iterator[Scanned]:
    """Finds every location with data that is at least so similar, examples themselves left out.

    Args:
        atlas: to go through.
        segments: of its places.
        aim: what locations are compared with.
        at_least: the least similarity; exactly as much is enough.
        filters: which locations may be found.

    Raises:
        DataError: a shard is corrupt, or segments are asked for and not known.
    """
    shards = _shards(atlas, filters)
    itself = [place.id for place in aim.places]
    for number, shard in enumerate(shards, 1):
        vectors, has_data = unit(atlas.store.read(shard).reshape(shard.size, -1))
        scores = aim.scores(vectors)
        rows = np.flatnonzero(has_data & (scores >= np.float32(at_least)))
        ids = box_ids(atlas.grid, shard)[rows]
        # What is not similar needs no segment.
        kept = passes(atlas, segments, filters, ids) & ~np.isin(ids, itself)
        ids, scores = ids[kept], scores[rows][kept]
        for begin in range(0, max(len(ids), 1), AT_ONCE):
            some = slice(begin, begin + AT_ONCE)
            yield Scanned(ids[some], scores[some], number, len(shards))


def _shards(atlas: Atlas, filters: Filters) -> list[Box]:
    """The shards that can hold something to find."""
    if not filters.boxes_nm or atlas.info.points is not None:
        return list(atlas.shards)
    boxes = cell_boxes(atlas, filters.boxes_nm)
    return [shard for shard in atlas.shards if any(shard.intersection(box) for box in boxes)]
