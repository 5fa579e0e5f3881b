"""Gathering the best places of one atlas or several, spread out in space.

Most of a place's nearest neighbours among embeddings are its neighbours in space, so many
candidates are fetched, those too near to a better one or to the query are dropped, and more are
fetched until enough are left or there is nothing more to fetch.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt64

from serve.gate.caller import require_caller
from serve.searching.suppression import suppress

FIRST_FETCH = 1000
"""Candidates fetched at first: after suppression they hold ten hits nearly always, for 3 ms."""

REFILL = 4
"""Each refill fetches this many times more candidates, and where lists ran dry reads this many
times more lists."""

MAX_FETCH = 2**20
"""Candidates past which a search gives up: sorting more takes seconds."""

# Among so many candidates for each that is wanted, enough stay nearly always.
_AT_FIRST = 50
_NOWHERE = np.empty((0, 3))


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some locations of one atlas in the order of their similarity.

    Attributes:
        ids: of locations, of equally similar ones the lower first.
        similarities: exact cosines.
        everything: whether the atlas has no others.
        open_end: whether others may be as similar as the last of these, or nearly.
    """

    ids: Int[np.ndarray, " n"]
    similarities: Float32[np.ndarray, " n"]
    everything: bool
    open_end: bool

    @property
    def floor(self) -> float:
        """The similarity down to which no location is missing."""
        if not self.open_end:
            return -math.inf
        return float(self.similarities.min(initial=math.inf))


class Supply(Protocol):
    """Where the candidates of one atlas come from.

    Attributes:
        space: atlases in which positions in nm mean the same places have the same.
        anchor_nm: what `offsets_nm` counts from, ZYX.
        batch: what was fetched last.
    """

    space: str
    anchor_nm: Float[np.ndarray, "3"]
    batch: Batch

    @property
    def spent(self) -> bool:
        """Whether there is nothing more to fetch, or too much was."""
        ...

    @property
    def exact(self) -> bool:
        """Whether every location was compared, so that no better one can exist."""
        ...

    def more(self) -> None:
        """Fetches a larger batch, which holds the last one."""
        ...

    def offsets_nm(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Where candidates are, in nm from the anchor, ZYX."""
        ...


SegmentsOf = Callable[[Int[np.ndarray, " n"]], UInt64[np.ndarray, " n"]]


def _none() -> Int[np.ndarray, " n"]:
    return np.empty(0, np.int64)


@dataclasses.dataclass(frozen=True)
class Want:
    """How many places are wanted, which, and how far apart.

    Attributes:
        k: how many at most.
        separation_nm: least distance between two of them, and to what is excluded.
        excluded_nm: positions to stay away from, ZYX.
        space: that they are in.
        itself: the place that was asked for, which is never found: its supply and id.
        at_least: the least similarity.
        never: other locations that are not found, of the only supply.
        told: locations that were found before, of the only supply; they stay where they are.
        per_segment: how many of one segment at most, those told before counted in.
        segments_of: tells the segments of locations of the only supply, 0 for none.
        rules: what else is asked of places, for people.
    """

    k: int
    separation_nm: float
    excluded_nm: Float[np.ndarray, "m 3"]
    space: str
    itself: tuple[int, int] | None = None
    at_least: float = -math.inf
    never: Int[np.ndarray, " n"] = dataclasses.field(default_factory=_none)
    told: Int[np.ndarray, " n"] = dataclasses.field(default_factory=_none)
    per_segment: int | None = None
    segments_of: SegmentsOf | None = None
    rules: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Gathered:
    """The places that were found, best first; of equal ones those of an earlier supply.

    Attributes:
        supplies: from which supply each is.
        ids: of locations.
        similarities: cosines.
        candidates: how many locations were considered.
        everything: whether there are no others.
    """

    supplies: Int[np.ndarray, " n"]
    ids: Int[np.ndarray, " n"]
    similarities: Float32[np.ndarray, " n"]
    candidates: int
    everything: bool

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int[np.ndarray, " m"] | slice) -> "Gathered":
        """Some of them, in that order."""
        return Gathered(
            self.supplies[rows],
            self.ids[rows],
            self.similarities[rows],
            self.candidates,
            self.everything,
        )


def gather(supplies: Sequence[Supply], want: Want) -> Gathered:
    """The best places of all supplies, none near a better one in the same space."""
    while True:
        found = _merged(supplies)
        if want.at_least > -math.inf:
            found = found.take(np.flatnonzero(found.similarities >= want.at_least))
            if _reaches(supplies, want.at_least):
                found = dataclasses.replace(found, everything=True)
        kept = _kept(supplies, found, want)
        if len(kept) == want.k or found.everything or not _refill(supplies):
            return kept


def _reaches(supplies: Sequence[Supply], at_least: float) -> bool:
    """Whether all that is so similar has been fetched, as far as the supplies can tell."""
    batches = [supply.batch for supply in supplies]
    return all(b.everything or (b.open_end and b.floor < at_least) for b in batches)


def _merged(supplies: Sequence[Supply]) -> Gathered:
    """What is known to be best among all: below the highest floor, better ones may be missing."""
    batches = [supply.batch for supply in supplies]
    if len(batches) == 1:  # and in order, down to its own floor
        (one,) = batches
        which = np.zeros(len(one.ids), np.int64)
        return Gathered(which, one.ids, one.similarities, len(one.ids), one.everything)
    floor = max(batch.floor for batch in batches)
    counts = [int((batch.similarities >= floor).sum()) for batch in batches]
    cut = list(zip(batches, counts, strict=True))
    ids = np.concatenate([batch.ids[:n] for batch, n in cut])
    cosines = np.concatenate([batch.similarities[:n] for batch, n in cut])
    which = np.repeat(np.arange(len(batches)), counts)
    everything = all(batch.everything for batch in batches)
    found = Gathered(which, ids, cosines, len(ids), everything)
    return found.take(np.lexsort((ids, which, -cosines)))


def _kept(supplies: Sequence[Supply], found: Gathered, want: Want) -> Gathered:
    """Those that stay: whether one does depends on better ones alone, so the best come first."""
    first = _AT_FIRST * (want.k + len(want.told))
    if first < len(found):
        best = found.take(slice(first))
        kept = best.take(_spread(supplies, best, want))
        if len(kept) == want.k:
            return kept
    return found.take(_spread(supplies, found, want))


def _spread(supplies: Sequence[Supply], found: Gathered, want: Want) -> Int[np.ndarray, " kept"]:
    """Which rows stay: places in different spaces are in nobody's way."""
    anchors = {supply.space: supply.anchor_nm for supply in reversed(supplies)}
    points, may, told = _points(supplies, found, anchors), _allowed(found, want), len(want.told)
    if told:  # of the only supply, so that they count from the same anchor
        points = np.concatenate([supplies[0].offsets_nm(want.told), points])
        may = np.concatenate([np.ones(told, bool), may])
    groups = _groups(want, found.ids)
    kept = []
    for space, anchor in anchors.items():
        excluded = want.excluded_nm - anchor if space == want.space else _NOWHERE
        here = may if len(anchors) == 1 else may & _lies_in(space, supplies, found)
        limit, most = told + want.k, want.per_segment or 0
        kept.append(suppress(points, limit, want.separation_nm, excluded, here, groups, most))
    rows = kept[0] if len(kept) == 1 else np.sort(np.concatenate(kept))
    return (rows[rows >= told] - told)[: want.k]


def _allowed(found: Gathered, want: Want) -> Bool[np.ndarray, " n"]:
    """Which may be told at all."""
    allowed = np.ones(len(found), bool)
    if want.itself is not None:
        allowed = (found.supplies != want.itself[0]) | (found.ids != want.itself[1])
    for gone in (want.never, want.told):
        if len(gone):
            allowed &= ~np.isin(found.ids, gone)
    return allowed


def _lies_in(space: str, supplies: Sequence[Supply], found: Gathered) -> Bool[np.ndarray, " n"]:
    return np.array([supply.space == space for supply in supplies])[found.supplies]


def _points(
    supplies: Sequence[Supply], found: Gathered, anchors: Mapping[str, Float[np.ndarray, "3"]]
) -> Float[np.ndarray, "n 3"]:
    """Where what was found is, in nm from the anchor of its space, ZYX."""
    if len(supplies) == 1:
        return supplies[0].offsets_nm(found.ids)
    points = np.empty((len(found), 3))
    for number, supply in enumerate(supplies):
        mine = found.supplies == number
        # Of the first atlas in a space nothing is added, so that equal steps stay equal.
        shift = supply.anchor_nm - anchors[supply.space]
        points[mine] = supply.offsets_nm(found.ids[mine]) + shift
    return points


def _groups(want: Want, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"] | None:
    """By segment, numbered, what was told before and locations; -1 for what is in none."""
    if want.per_segment is None or want.segments_of is None:
        return None
    segments = want.segments_of(np.concatenate([want.told, ids]))
    numbers = np.unique(segments, return_inverse=True)[1].astype(np.int64)
    return np.where(segments == 0, -1, numbers)


def _refill(supplies: Sequence[Supply]) -> bool:
    """Fetches more where that can help; false where it cannot."""
    hungry = [supply for supply in supplies if not supply.spent]
    highest = max(supplies, key=lambda supply: supply.batch.floor)
    if not hungry or (highest.spent and highest.batch.open_end):
        return False
    for supply in hungry:
        require_caller()
        supply.more()
    return True
