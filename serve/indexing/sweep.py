"""What an index misses and what a search costs, at many settings: by comparing with the truth."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from embed.atlas import Atlas
from serve.indexing.truth import NEAREST, ExactNeighbours
from serve.locations import unit

ENOUGH = 0.99
"""Share of the ten nearest that an index should find. It is measured with locations of the atlas;
of what is most like a vector from elsewhere, a hundredth or two less is found."""

REFINED = (20, 40, 100, 200, 400)
"""Candidates that stand for ten hits where the index holds codes, which misorder the nearest."""

REFINED_COARSE = (10, 20, 50, 100)
"""The same where each candidate brings its neighbours in space with it."""

# Times as many candidates are looked at, so that enough are left without the surroundings of a
# query, which do not count (see `serve.indexing.truth`).
_BEYOND = 10

# From so many lists on it is looked whether reading more finds more, which it ceases to where codes
# misorder what is read: to read all of an atlas of 10^7 took longer than all else of the sweep.
_MANY_LISTS = 64

TIE = 1e-5
"""Similarities closer than this count as equal: above float32 rounding, below any meaning."""

Search = Callable[[Float32[np.ndarray, "q dim"], int, int], Int[np.ndarray, "q k"]]
"""Ids of the k candidates of each query, best first (-1 where there are fewer), when nprobe lists
are read."""

Around = Callable[[Int[np.ndarray, "q k"]], Int[np.ndarray, "q m"]]
"""The locations that candidates stand for, the same number for each, in the same order."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One setting that was measured.

    Attributes:
        nprobe: lists that were read for each query.
        candidates: that the index proposed for each query, to be compared exactly.
        recall: share of the true ten nearest (ties allowed) among them, 0 to 1.
        search_us: CPU of finding the candidates of a query, many at once, in microseconds.
        compare_us: the same of comparing them with the stored vectors, once those are in memory.
    """

    nprobe: int
    candidates: int
    recall: float
    search_us: float
    compare_us: float

    @property
    def cost_us(self) -> float:
        """CPU of a query in microseconds."""
        return self.search_us + self.compare_us


@dataclasses.dataclass(frozen=True)
class Searched:
    """An index whose settings are to be measured.

    Attributes:
        atlas: holds the vectors that candidates are compared by.
        search: finds candidates.
        around: the locations that they stand for; themselves where it is None.
        lists: how many lists there are.
        holds_vectors: whether the index compares whole vectors, so that its order is right.
        clock: CPU seconds that searches took so far, of this process or of those that search.
    """

    atlas: Atlas
    search: Search
    around: Around | None
    lists: int
    holds_vectors: bool
    clock: Callable[[], float] = time.process_time

    @property
    def most(self) -> int:
        """Candidates that are looked at."""
        return _BEYOND * max(self.refined)

    @property
    def refined(self) -> tuple[int, ...]:
        """Numbers of candidates to try."""
        if self.around is not None:
            return REFINED_COARSE
        return (NEAREST,) if self.holds_vectors else REFINED


def sweep(searched: Searched, truth: ExactNeighbours, enough: float = ENOUGH) -> tuple[Step, ...]:
    """Recall and cost at 1, 2, 4, … lists and several numbers of candidates.

    It ends where more lists cannot be the cheapest way to find enough, where twice and four times
    as many find no more, or where they are all there are.

    Args:
        searched: the index.
        truth: of queries that the index was not trained on.
        enough: recall to reach.
    """
    steps: list[Step] = []
    exact = _Exact(searched.atlas, truth)
    with threadpool_limits(1):  # threads that wait for others would be counted in
        for nprobe in probes(searched.lists):
            at = list(_steps_at(searched, truth, exact, nprobe))
            steps += at
            reaching = [step.cost_us for step in steps if step.recall >= enough]
            if reaching and min(step.cost_us for step in at) >= min(reaching):
                break
            if nprobe // 4 >= _MANY_LISTS and _most(steps, nprobe) <= _most(steps, nprobe // 4):
                break
    return tuple(steps)


def _most(steps: Sequence[Step], nprobe: int) -> float:
    """The highest recall where so many lists are read, or fewer."""
    return max(step.recall for step in steps if step.nprobe <= nprobe)


def probes(lists: int) -> tuple[int, ...]:
    """Numbers of lists to try: 1, 2, 4, … and all there are."""
    return (*(2**n for n in range((lists - 1).bit_length())), lists)


def cheapest(steps: tuple[Step, ...], enough: float = ENOUGH) -> Step:
    """The cheapest setting that finds enough; the one that finds most where none does."""
    reaching = [step for step in steps if step.recall >= enough]
    if reaching:
        return min(reaching, key=lambda step: (step.cost_us, step.nprobe))
    return max(steps, key=lambda step: (step.recall, -step.cost_us))


def _steps_at(
    searched: Searched, truth: ExactNeighbours, exact: "_Exact", nprobe: int
) -> Iterator[Step]:
    queries = truth.queries.vectors
    found = searched.search(queries, searched.most, nprobe)
    ids = _elsewhere(truth, found)[:, : max(searched.refined)]
    hits = exact.hits(ids if searched.around is None else searched.around(ids))
    compared = 0 if searched.holds_vectors and searched.around is None else hits[0, 0].size
    for candidates in searched.refined:
        began = searched.clock()
        searched.search(queries, candidates, nprobe)
        search_us = 1e6 * (searched.clock() - began) / len(queries)
        yield Step(
            nprobe,
            candidates,
            round(exact.recall(hits[:, :candidates]), 4),
            round(search_us, 1),
            round(candidates * compared * exact.us_of_one, 1),
        )


def _elsewhere(truth: ExactNeighbours, ids: Int[np.ndarray, "q k"]) -> Int[np.ndarray, "q k"]:
    """The candidates beyond the surroundings of each query, in their order, and then -1."""
    rows, columns = np.nonzero(ids >= 0)
    near = truth.surrounds(rows, ids[rows, columns])
    ids = ids.copy()
    ids[rows[near], columns[near]] = -1
    order = np.argsort(ids < 0, axis=1, kind="stable")
    return np.take_along_axis(ids, order, axis=1)


class _Exact:
    """The exact comparison of queries with candidates."""

    def __init__(self, atlas: Atlas, truth: ExactNeighbours) -> None:
        self._atlas, self._truth = atlas, truth
        self._known = np.empty(0, np.int64)
        self._vectors = np.empty((0, atlas.info.embedding_dim), np.float32)
        self.us_of_one = 0.0

    def hits(self, ids: Int[np.ndarray, "q k *around"]) -> Bool[np.ndarray, "q k around"]:
        """Which of the candidates of each query are among its nearest; each counts once."""
        queries = self._truth.queries
        flat = ids.reshape(len(queries.ids), -1)
        self._read(np.setdiff1d(flat, self._known))
        if not self._known.size:
            return np.zeros((*ids.shape[:2], 1), bool)
        began = time.process_time()
        rows = np.searchsorted(self._known, flat)
        rows[flat < 0] = 0
        found = np.einsum("qd,qkd->qk", queries.vectors, self._vectors[rows])
        self.us_of_one = 1e6 * (time.process_time() - began) / max(flat.size, 1)
        near = (flat >= 0) & (found >= self._truth.thresholds - TIE) & _first(flat)
        which, columns = np.nonzero(near)
        near[which, columns] = ~self._truth.surrounds(which, flat[which, columns])
        return near.reshape(*ids.shape[:2], -1)

    def recall(self, hits: Bool[np.ndarray, "q k around"]) -> float:
        """Share of the nearest that are among the candidates."""
        counts = self._truth.counts
        hit = hits.reshape(len(counts), -1).sum(axis=1)
        if not counts.any():  # in an atlas so small that nothing lies beyond the surroundings
            return 1.0
        return float(np.minimum(hit, counts).sum() / counts.sum())

    def _read(self, ids: Int[np.ndarray, " n"]) -> None:
        """Adds the vectors of some more locations to those in memory."""
        ids = ids[ids >= 0]
        vectors, _ = unit(self._atlas.embeddings(ids))
        known = np.concatenate([self._known, ids])
        order = np.argsort(known)
        self._known = known[order]
        self._vectors = np.concatenate([self._vectors, vectors])[order]


def _first(ids: Int[np.ndarray, "q k"]) -> Bool[np.ndarray, "q k"]:
    """Which ids of a row have none like them before them."""
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    new = np.ones(ids.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty(ids.shape, bool)
    np.put_along_axis(first, order, new, axis=1)
    return first
