"""What an index misses: its answers beside those of comparing every place."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Int

from embed.atlas import Atlas
from serve.locations import Locations, similarities

ENOUGH = 0.98
"""Share of the ten nearest places that an index must find: the sweep stops at the first setting
that does, because each doubling of the lists that are read doubles the time of a search."""

NEAREST = 10
TIE = 1e-5
"""Similarities closer than this count as equal: above float32 rounding, below any meaning."""

Search = Callable[[Float32[np.ndarray, "q dim"], int, int], Int[np.ndarray, "q k"]]
"""Ids of the k candidates of each query (-1 where there are fewer) when nprobe lists are read."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One setting that was measured.

    Attributes:
        nprobe: lists that were read for each query.
        recall: share of the true ten nearest (ties allowed) among the candidates, 0 to 1.
    """

    nprobe: int
    recall: float


class ExactNeighbours:
    """The nearest places of some places, kept up to date while all the others stream by."""

    def __init__(self, queries: Locations, nearest: int = NEAREST):
        self.queries = queries
        self._best = np.full((len(queries.ids), nearest), -np.inf, np.float32)

    def update(self, places: Locations) -> None:
        """Takes note of some more places."""
        found = self.queries.vectors @ places.vectors.T
        found[self.queries.ids[:, None] == places.ids[None, :]] = -np.inf  # not itself
        best = np.concatenate([self._best, found], axis=1)
        self._best = -np.partition(-best, self._best.shape[1] - 1, axis=1)[:, : self._best.shape[1]]

    @property
    def thresholds(self) -> Float32[np.ndarray, "q 1"]:
        """Similarity of the last of each query's nearest; -inf where there are too few places."""
        return self._best.min(axis=1, keepdims=True)

    @property
    def counts(self) -> Int[np.ndarray, " q"]:
        """How many neighbours each query has at most: fewer than asked for in a tiny atlas."""
        return np.isfinite(self._best).sum(axis=1)


def sweep_nprobe(
    atlas: Atlas, truth: ExactNeighbours, search: Search, lists: int, candidates: int
) -> tuple[Step, ...]:
    """Recall at 1, 2, 4, … lists, up to the first that is enough or to all of them.

    Args:
        atlas: holds the vectors that candidates are compared by.
        truth: of queries that the index was not trained on.
        search: the index.
        lists: how many lists it has.
        candidates: how many it may propose for each query before the exact comparison.
    """
    steps: list[Step] = []
    nprobe = 1
    while not steps or (steps[-1].recall < ENOUGH and steps[-1].nprobe < lists):
        ids = search(truth.queries.vectors, candidates + 1, nprobe)
        steps.append(Step(nprobe, _recall(atlas, truth, ids)))
        nprobe = min(2 * nprobe, lists)
    return tuple(steps)


def _recall(atlas: Atlas, truth: ExactNeighbours, ids: Int[np.ndarray, "q k"]) -> float:
    ids = np.where(ids == truth.queries.ids[:, None], -1, ids)  # a place is not its own neighbour
    found = similarities(atlas, truth.queries.vectors, ids)
    hits = (np.isfinite(found) & (found >= truth.thresholds - TIE)).sum(axis=1)
    counts = truth.counts
    return float(np.minimum(hits, counts).sum() / max(counts.sum(), 1))
