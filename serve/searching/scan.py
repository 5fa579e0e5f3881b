"""Everything above a similarity: each location compared, a shard in memory at a time."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int

from embed.atlas import Atlas
from embed.geometry import Box
from serve.gate.caller import require_caller
from serve.locations import NONE, absent, box_ids, unit
from serve.queries import Filters
from serve.searching.aims import Aim
from serve.searching.place_rules import PlaceRules
from serve.searching.selection import cell_boxes, passes

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
        stopped: why nothing follows though there may be more places; empty otherwise.
    """

    ids: Int[np.ndarray, " n"]
    similarities: Float32[np.ndarray, " n"]
    shards_done: int
    shards: int
    stopped: str = ""


def scan(
    atlas: Atlas,
    rules: PlaceRules,
    aim: Aim,
    at_least: float,
    filters: Filters,
    most: int | None = None,
    removed: Int[np.ndarray, " n"] = NONE,
) -> Iterator[Scanned]:
    """Finds every location with data that is at least so similar, examples themselves left out.

    Args:
        atlas: to go through.
        rules: tell what filters ask of its places.
        aim: what locations are compared with.
        at_least: the least similarity; exactly as much is enough.
        filters: which locations may be found.
        removed: ids of locations that are never found, ascending.
        most: how many are told, the last part saying so where there are more; all if None.

    Raises:
        DataError: a shard is corrupt.
        VoxkinError: as `PlaceRules.require`.
    """
    shards = _shards(atlas, filters)
    itself = [place.id for place in aim.places]
    left = atlas.grid.size if most is None else most
    for number, shard in enumerate(shards, 1):
        require_caller()
        vectors, has_data = unit(atlas.store.read(shard).reshape(shard.size, -1))
        scores = aim.scores(vectors)
        rows = np.flatnonzero(has_data & (scores >= np.float32(at_least)))
        ids = box_ids(atlas.grid, shard)[rows]
        # Of what is not similar nothing is looked up.
        kept = passes(atlas, rules, filters, ids) & ~np.isin(ids, itself)
        kept &= absent(ids, removed)
        ids, scores = ids[kept], scores[rows][kept]
        stopped = ""
        if len(ids) > left:
            stopped = (
                f"one search for everything tells at most {most:,} places, and there are more: ask "
                "for a higher similarity, or box by box"
            )
        ids, scores = ids[:left], scores[:left]
        left -= len(ids)
        for begin in range(0, max(len(ids), 1), AT_ONCE):
            some = slice(begin, begin + AT_ONCE)
            last = begin + AT_ONCE >= len(ids)
            yield Scanned(ids[some], scores[some], number, len(shards), stopped if last else "")
        if stopped:
            return


def _shards(atlas: Atlas, filters: Filters) -> list[Box]:
    """The shards that can hold something to find."""
    if not filters.boxes_nm or atlas.info.points is not None:
        return list(atlas.shards)
    boxes = cell_boxes(atlas, filters.boxes_nm)
    return [shard for shard in atlas.shards if any(shard.intersection(box) for box in boxes)]
