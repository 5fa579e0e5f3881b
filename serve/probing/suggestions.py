"""Which places to label next, so that a probe learns more than from as many random ones.

They were chosen on P-VNC and P-LUC; `tests/benchmarks/bench_suggestions.py` compares them.
"""

import dataclasses
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float32

from embed.errors import RequestError
from embed.geometry import XyzFloat
from embed.probe import Probe
from embed.probing.linear import probabilities_of
from serve.locations import Locations

Kind = Literal["mixed", "uncertain", "likely", "unknown"]
"""Likely and uncertain by turns; hard to tell; likely of a class; unlike anything labelled."""

MOST = 100
"""Places in one answer."""

# Labelled places that a pool is compared with at once: 64 MB of a pool of 8192.
_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is to be suggested.

    Attributes:
        k: how many places, 1 to 100.
        kind: what they are to be like.
        label: the class that places are to be likely of; empty is whichever has fewest labels.
    """

    k: int = 12
    kind: Kind = "mixed"
    label: str = ""

    def require(self, probe: Probe) -> None:
        """Checks it.

        Raises:
            RequestError: a part is out of its range, or the probe has no such class.
        """
        if not 1 <= self.k <= MOST:
            raise RequestError(f"k is the number of places to suggest, 1 to {MOST}; got {self.k}")
        kinds = get_args(Kind)
        if self.kind not in kinds:
            raise RequestError(f"kind is one of {', '.join(kinds)}; got {self.kind[:100]!r}")
        if self.label and self.kind not in ("likely", "mixed"):
            raise RequestError(f"a label goes with kind likely or mixed, not with {self.kind}")
        if self.label and self.label not in probe.classes:
            there = ", ".join(probe.classes)
            raise RequestError(
                f"probe {probe.name!r} has no class {self.label[:100]!r}; it has: {there}"
            )


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """A place to label.

    Attributes:
        id: of the location.
        position_nm_xyz: where it is.
        probabilities: of each class.
        uncertainty: how hard the class is to tell, 0 to 1; see `uncertainty`.
        unknown: how unlike anything labelled it is, 0 to 1.
        why: it is suggested, for people.
    """

    id: int
    position_nm_xyz: XyzFloat
    probabilities: dict[str, float]
    uncertainty: float
    unknown: float
    why: str


@dataclasses.dataclass(frozen=True, eq=False)
class Pool:
    """Places to choose from.

    Attributes:
        locations: they and their embeddings.
        positions_nm_xyz: where they are, float64 [n, 3].
        apart_nm: least distance between two suggestions.
    """

    locations: Locations
    positions_nm_xyz: Float[np.ndarray, "n 3"]
    apart_nm: float


def uncertainty(probe: Probe, vectors: Float[np.ndarray, "n dim"]) -> Float32[np.ndarray, " n"]:
    """One less the lead of the likeliest class over the next, 0 to 1, classes being as common.

    Where classes are decided each alone, that of the least certain decision.
    """
    sure = np.sort(probabilities_of(probe.kind, probe.logits(vectors)), axis=1)
    if probe.kind == "multilabel":
        return (1 - np.abs(2 * sure - 1).min(axis=1)).astype(np.float32)
    return (1 - (sure[:, -1] - sure[:, -2])).astype(np.float32)


def suggest(
    probe: Probe,
    pool: Pool,
    labelled: Locations,
    wish: Wish = Wish(),
    seed: int = 0,
) -> tuple[Suggestion, ...]:
    """Places to label next: apart in space, and unlike what is labelled or suggested already.

    Args:
        probe: as it was trained last.
        pool: a sample of the atlas.
        labelled: places that are not to be suggested again.
        wish: which and how many.
        seed: of the draw; the same seed draws the same places.

    Returns:
        Up to as many as are wished for; fewer where no more are apart.

    Raises:
        RequestError: the wish is out of its range.
    """
    wish.require(probe)
    vectors = pool.locations.vectors
    if not len(vectors):
        return ()
    chances = probe.probabilities(vectors)
    unsure, unknown = uncertainty(probe, vectors), probe.unknown(vectors)
    picks = _Picks(probe, pool, labelled, np.random.default_rng([seed, len(labelled.ids)]))
    counts = np.array(list(probe.labels.values()), float)
    found = []
    for turn in range(wish.k):
        if wish.kind == "unknown":
            row, why = picks.first(picks.strangeness), "unlike anything labelled so far"
        elif wish.kind == "uncertain" or (wish.kind == "mixed" and turn % 2):
            # Squared, or the many that are nearly certain would outweigh the few that are not.
            row, why = picks.drawn(unsure**2 * picks.novelty), ""
        else:
            number = probe.classes.index(wish.label) if wish.label else int(counts.argmin())
            row = picks.drawn(chances[:, number] ** (2 if wish.kind == "likely" else 1))
            why = f"likely {probe.classes[number]}"
        if row is None:
            break
        counts += chances[row]
        found.append(
            Suggestion(
                id=int(pool.locations.ids[row]),
                position_nm_xyz=_xyz(pool.positions_nm_xyz[row]),
                probabilities=dict(zip(probe.classes, chances[row].tolist(), strict=True)),
                uncertainty=float(unsure[row]),
                unknown=float(unknown[row]),
                why=why or _torn(probe, vectors[row]),
            )
        )
    return tuple(found)


class _Picks:
    """Picks rows of a pool one by one."""

    def __init__(
        self, probe: Probe, pool: Pool, labelled: Locations, rng: np.random.Generator
    ) -> None:
        self._places, self._apart = pool.positions_nm_xyz, pool.apart_nm
        self._rng = rng
        self._free = ~np.isin(pool.locations.ids, labelled.ids)
        self._looks = _looks(probe, pool.locations.vectors)
        self.novelty = np.ones(len(self._looks))
        self.strangeness = probe.distances(pool.locations.vectors)
        known = _looks(probe, labelled.vectors)
        for begin in range(0, len(known), _AT_ONCE):
            self._saw(known[begin : begin + _AT_ONCE])

    def first(self, scores: Float[np.ndarray, " n"]) -> int | None:
        """The one with the highest score of those that are left."""
        return self._taken(int(np.where(self._free, scores, -np.inf).argmax()))

    def drawn(self, weights: Float[np.ndarray, " n"]) -> int | None:
        """One of those that are left, by chance, in proportion to weights."""
        reached = np.cumsum(np.where(self._free, weights, 0.0))
        if not reached[-1] > 0:
            return self.first(weights)
        drawn = np.searchsorted(reached, self._rng.random() * reached[-1], side="right")
        return self._taken(min(int(drawn), len(reached) - 1))

    def _taken(self, row: int) -> int | None:
        if not self._free[row]:
            return None
        apart = np.linalg.norm(self._places - self._places[row], axis=1)
        self._free &= apart >= self._apart
        self._free[row] = False
        self._saw(self._looks[[row]])
        return row

    def _saw(self, looks: Float[np.ndarray, "n dim"]) -> None:
        """Notes how unlike the nearest of these everything is: one less the cosine, 0 to 1."""
        nearest = (self._looks @ looks.T).max(axis=1)
        self.novelty = np.minimum(self.novelty, np.clip(1 - nearest, 0, 1))


def _looks(probe: Probe, vectors: Float32[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    rows = probe.rows(vectors)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def _torn(probe: Probe, vector: Float32[np.ndarray, " dim"]) -> str:
    """Between what a probe cannot decide."""
    sure = probabilities_of(probe.kind, probe.logits(vector[None]))[0]
    if probe.kind == "multilabel":
        return f"hard to tell: {probe.classes[int(np.abs(sure - 0.5).argmin())]} or not"
    first, second = np.argsort(-sure)[:2]
    return f"hard to tell: {probe.classes[first]} or {probe.classes[second]}"


def _xyz(position: Float[np.ndarray, " 3"]) -> XyzFloat:
    x, y, z = position.tolist()
    return x, y, z
