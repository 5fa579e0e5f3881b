"""Filling an index from the store: reading runs ahead of adding, and it is kept now and then."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from embed.atlas import Atlas
from embed.geometry import Box
from serve.indexing.truth import ExactNeighbours
from serve.indexing.workspace import Workspace
from serve.locations import Locations, Progress, shard_locations

KEPT_EVERY = 2**20
"""Locations after which what is filled is kept at first: some seconds of work, and 20 MB."""

KEPT_GROWN = 4
"""Later, when it has grown by this part of itself: a kill costs a fifth of the work at most, and
all that is written is five times the index."""

Chosen = Callable[[Locations], Bool[np.ndarray, " n"]]
"""Which of some locations go into the index."""


@dataclasses.dataclass
class Filled:
    """An index that has been filled.

    Attributes:
        index: the index.
        truth: the nearest neighbours of its queries.
        seen: locations with data that were looked at.
    """

    index: Any
    truth: ExactNeighbours
    seen: int


def fill(
    atlas: Atlas,
    space: Workspace,
    begun: Filled,
    shards: Sequence[Box],
    new: Chosen,
    chosen: Chosen,
    progress: Progress,
) -> Filled:
    """Adds the locations of some shards to an index, from where a killed build stopped.

    Memory holds three shards and the index itself.

    Args:
        atlas: holds the locations.
        space: keeps what is filled, and has that of the build that was killed.
        begun: the index to add to, and what is known of its queries.
        shards: in the order in which they are always added.
        new: which locations the index does not know of.
        chosen: which of those it is to hold.
        progress: called with the locations of shards that were added and of all.

    Raises:
        DataError: a shard is corrupt, or data that the ledger counted are gone.
    """
    total, done = sum(box.size for box in shards), 0
    kept = space.filled()
    if kept is not None:
        index, truth, said = kept
        begun, done = Filled(index, truth, said["seen"]), said["shards"]
    index, held = begun.index, begun.index.ntotal
    cells = sum(box.size for box in shards[:done])
    if done:
        progress(cells, total)
    for number, (box, places) in enumerate(shard_locations(atlas, shards[done:]), done + 1):
        places = places.take(new(places))
        if places.ids.size:
            added = places.take(chosen(places))
            index.add_with_ids(added.vectors, added.ids)
            begun.truth.update(places)
            begun.seen += len(places.ids)
        if index.ntotal - held >= max(KEPT_EVERY, held // KEPT_GROWN) and number < len(shards):
            space.keep_filled(index, begun.truth, {"shards": number, "seen": begun.seen})
            held = index.ntotal
        cells += box.size
        progress(cells, total)
    return begun
