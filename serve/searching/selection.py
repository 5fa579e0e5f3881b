"""The locations that pass filters: listed where they are few, a bit for each location otherwise."""

import dataclasses
import functools
import math
from collections.abc import Hashable

import numpy as np
from jaxtyping import Bool, Int, UInt8

from embed.atlas import Atlas
from embed.errors import RequestError
from embed.geometry import Box, Grid, zyx
from embed.points import Points
from serve.gate.caller import require_caller
from serve.locations import NONE, Locations, absent, box_ids, locations_of
from serve.queries import BoxNm, Filters
from serve.searching.place_rules import PlaceRules

FEW = 50_000
"""Locations that are compared one by one, which is exact and takes at most some milliseconds; an
index would have to read most of its lists for as good an answer."""

MOST_LOOKED_UP = 2**22
"""Locations of a grid whose segments, masks or classes are read for a filter: more take minutes."""

_KEPT = 4
_TILE = (64, 64, 64)


@dataclasses.dataclass(frozen=True, eq=False)
class Selection:
    """Locations that pass filters, voids among them.

    Attributes:
        count: how many.
        ids: of all of them, ascending, where they are few; None otherwise.
        bits: of an id the bit `id & 7` of byte `id >> 3`, which is what FAISS takes.
    """

    count: int
    ids: Int[np.ndarray, " n"] | None
    bits: UInt8[np.ndarray, " bytes"] | None

    @classmethod
    def of_mask(cls, mask: Bool[np.ndarray, " size"]) -> "Selection":
        """The locations that are true."""
        count = int(np.count_nonzero(mask))
        if count <= FEW:
            return cls(count, np.flatnonzero(mask), None)
        return cls(count, None, np.packbits(mask, bitorder="little"))


class Selections:
    """The selections of one atlas, the latest ones kept. Safe to use from many threads."""

    def __init__(
        self, atlas: Atlas, rules: PlaceRules, removed: Int[np.ndarray, " n"] = NONE
    ) -> None:
        """Prepares to select.

        Args:
            atlas: whose locations they are.
            rules: tell what filters ask of them.
            removed: ids of locations that are never found, ascending; selections may count them.
        """
        self._atlas, self._rules, self._removed = atlas, rules, removed
        self._kept = functools.lru_cache(_KEPT)(self._of)
        self._kept_located = functools.lru_cache(_KEPT)(self._located)

    def of(self, filters: Filters) -> Selection:
        """The locations that pass filters.

        Raises:
            RequestError: too many locations would have to be looked up.
            VoxkinError: as `PlaceRules.require`.
        """
        return self._kept(filters, self._rules.version(filters))

    def located(self, filters: Filters) -> Locations:
        """The locations with data of a selection that is listed, with their vectors."""
        return self._kept_located(filters, self._rules.version(filters))

    def _of(self, filters: Filters, version: Hashable) -> Selection:
        self._rules.require(filters)
        if isinstance(self._atlas.places, Points):
            ids = np.arange(self._atlas.places.size)
            return Selection.of_mask(passes(self._atlas, self._rules, filters, ids))
        if filters.labels:
            return self._labelled(filters)
        grid = self._atlas.grid
        boxes = cell_boxes(self._atlas, filters.boxes_nm) if filters.boxes_nm else (grid.cells,)
        if filters.by_look_up:
            return self._looked_up(boxes, filters)
        if sum(box.size for box in boxes) <= FEW:
            return _listed(grid, boxes)
        mask = np.zeros(grid.shape, bool)
        for box in boxes:
            mask[box.slices] = True
        return Selection.of_mask(mask.reshape(-1))

    def _labelled(self, filters: Filters) -> Selection:
        """Of what is labelled, which is few, those that pass everything else."""
        ids = self._rules.labels.of(filters.labels)
        mask = np.zeros(self._atlas.grid.size, bool)
        mask[ids[passes(self._atlas, self._rules, filters, ids)]] = True
        return Selection.of_mask(mask)

    def _looked_up(self, boxes: tuple[Box, ...], filters: Filters) -> Selection:
        size = sum(box.size for box in boxes)
        if size > MOST_LOOKED_UP:
            raise RequestError(
                f"what lies at {size:,} locations would have to be looked up, which is done for at "
                f"most {MOST_LOOKED_UP:,}: ask for boxes (nm) with fewer locations"
            )
        mask = np.zeros(self._atlas.grid.size, bool)
        for box in boxes:
            for tile in box.tiles(_TILE):
                require_caller()
                ids = box_ids(self._atlas.grid, tile)
                mask[ids] = self._rules.passing_cells(filters, tile).reshape(-1)
        return Selection.of_mask(mask)

    def _located(self, filters: Filters, version: Hashable) -> Locations:
        ids = self._kept(filters, version).ids
        assert ids is not None, "only few locations are read at once"
        return locations_of(self._atlas, ids[absent(ids, self._removed)])


def passes(
    atlas: Atlas, rules: PlaceRules, filters: Filters, ids: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    """Which of some locations pass filters; errors as `PlaceRules.require`."""
    passed = np.ones(len(ids), bool)
    if filters.boxes_nm:
        places = atlas.positions_nm_xyz(ids)
        inside = [((places >= a) & (places < b)).all(axis=1) for a, b in filters.boxes_nm]
        passed &= np.logical_or.reduce(inside)
    if filters.labels:
        passed &= np.isin(ids, rules.labels.of(filters.labels))
    if filters.not_labels:
        passed &= ~np.isin(ids, rules.labels.of(filters.not_labels))
    if filters.by_look_up:
        rows = np.flatnonzero(passed)
        passed[rows] = rules.passing(filters, ids[rows])
    return passed


def cell_boxes(atlas: Atlas, boxes_nm: tuple[BoxNm, ...]) -> tuple[Box, ...]:
    """The cells of a grid whose centres lie in boxes in nm; nothing of a box that holds none."""
    grid = atlas.grid
    centres = []
    for axis in range(3):
        cells = np.zeros((grid.shape[axis], 3), np.int64)
        cells[:, axis] = np.arange(grid.shape[axis])
        centres.append(atlas.positions_nm_xyz(grid.ids(cells))[:, 2 - axis])
    found = []
    for low, high in boxes_nm:
        ends = zip(centres, low[::-1], high[::-1], strict=True)
        starts, stops = zip(*((np.searchsorted(c, (a, b))) for c, a, b in ends), strict=True)
        if all(a < b for a, b in zip(starts, stops, strict=True)):
            found.append(Box(zyx(starts), zyx(stops)))
    return tuple(found)


def _listed(grid: Grid, boxes: tuple[Box, ...]) -> Selection:
    ids = [np.empty(0, np.int64), *(box_ids(grid, box) for box in boxes)]
    found = np.unique(np.concatenate(ids))
    return Selection(len(found), found, None)


def lists_to_read(nprobe: int, lists: int, share: float) -> int:
    """How many lists to read where only a share of the locations may be found.

    The fewer there are, the farther from a query the best of them lie.
    """
    more = 2.0 if share > 0.1 else 1 / math.sqrt(max(share, 1e-12))
    return min(lists, math.ceil(nprobe * more))
