"""Libraries that find nearest vectors, ours among them: built, and asked at several settings.

All are asked in turn, on one thread, and compared at one recall. Graphs have 16 links and were
built looking at 100 candidates; ScaNN is as its authors advise: SOAR, asymmetric hashing of pairs
of dimensions, the best compared exactly.
"""

import dataclasses
import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from embed.atlas import Atlas
from serve.index import Index
from serve.indexing.sweep import TIE
from serve.locations import similarities
from tests.benchmarks.timing import cpu_s, in_turn
from tests.benchmarks.tradeoff import Point, cost_at

NEAREST = 10
LINKS, BUILD_EFFORT = 16, 100
EFFORTS = (32, 64, 128, 256, 512, 768)
"""Candidates that a search in a graph keeps."""

LEAVES, REORDERED = (12, 16, 24, 32, 48), (60, 100, 150)
"""Lists that ScaNN reads, and how many it then compares exactly."""

_SINGLE = 200

Search = Callable[[np.ndarray, Any], np.ndarray]
"""Ids [n, 10] of the nearest of vectors [n, dim] at a setting."""


@dataclasses.dataclass(frozen=True)
class Rival:
    """One library with its index.

    Attributes:
        name: of it.
        settings: what it can be asked with.
        batch: searches for many vectors.
        single: the same for one, [1, dim], in the way that is cheapest.
        build_cpu_s: CPU seconds that building took.
    """

    name: str
    settings: Sequence[Any]
    batch: Search
    single: Search
    build_cpu_s: float


def ours(atlas: Atlas, index: Index) -> Rival:
    """The index of an atlas; what it finds is compared exactly, by the stored vectors."""

    def search(vectors: np.ndarray, setting: tuple[int, int]) -> np.ndarray:
        lists, candidates = setting
        if index.tells_exactly:
            return index.search(vectors, NEAREST, lists, compared=candidates)[1]
        found, ids = index.search(vectors, candidates, lists)
        found = similarities(atlas, vectors, ids)
        best = np.argpartition(-found, NEAREST - 1, axis=1)[:, :NEAREST]
        return ids[np.arange(len(ids))[:, None], best]

    manifest = index.manifest
    lists = [max(1, manifest.nprobe * n // 4) for n in (1, 2, 3, 4, 8)]
    quarters = (4,) if manifest.holds_vectors else (1, 2, 3, 4)
    candidates = [max(NEAREST, manifest.candidates * n // 4) for n in quarters]
    return Rival("voxkin", list(itertools.product(lists, candidates)), search, search, 0.0)


def others(vectors: np.ndarray) -> Iterator[Rival | tuple[str, str]]:
    """The other libraries with an index of some vectors, or the name of one and why not."""
    makers = {"hnswlib": _hnswlib, "usearch": _usearch, "scann": _scann}
    for name, make in makers.items():
        try:
            library = importlib.import_module(name)
        except ImportError as error:
            yield name, f"not installed: {error}"
            continue
        made: list[tuple[Sequence[Any], Search, Search]] = []
        build_cpu_s = cpu_s(lambda: made.append(make(library, vectors)))  # noqa: B023  called here
        yield Rival(name, *made[0], build_cpu_s)


class Truth:
    """The exact neighbours of queries among vectors, whose ids are their rows."""

    def __init__(self, vectors: np.ndarray, queries: np.ndarray) -> None:
        self.vectors, self.queries = vectors, queries
        best = [np.partition(q @ vectors.T, -NEAREST, axis=1) for q in np.array_split(queries, 50)]
        self._least = np.concatenate([part[:, -NEAREST:].min(axis=1) for part in best])

    def recall(self, ids: np.ndarray) -> float:
        """The share of them, ties allowed, among ids [n, 10]; -1 is none."""
        found = np.einsum("nkd,nd->nk", self.vectors[ids], self.queries)
        return float(((ids >= 0) & (found >= self._least[:, None] - TIE)).mean())


def costs_at(
    recall: float, field: Sequence[Rival], truth: Truth, rounds: int
) -> dict[str, tuple[float | None, float | None]]:
    """CPU µs of a query at a recall, by name: many at once, and one by one; the least of rounds."""
    queries, some = truth.queries, truth.queries[:_SINGLE]
    works: dict[Any, Callable[[], object]] = {}
    for rival in field:
        for setting in rival.settings:
            works[rival.name, setting, "batch"] = partial(rival.batch, queries, setting)
            works[rival.name, setting, "single"] = partial(_one_by_one, rival, some, setting)
    seconds = in_turn(works, rounds)
    found = {}
    for rival in field:
        points: tuple[list[Point], list[Point]] = ([], [])
        for setting in rival.settings:
            share = truth.recall(rival.batch(queries, setting))
            batch = 1e6 * min(seconds[rival.name, setting, "batch"]) / len(queries)
            single = 1e6 * min(seconds[rival.name, setting, "single"]) / len(some)
            print(f"  {rival.name:8} {setting!s:>12} {share:.4f} {batch:8.1f} {single:8.1f} µs")
            points[0].append(Point(share, batch))
            points[1].append(Point(share, single))
        found[rival.name] = (cost_at(recall, points[0]), cost_at(recall, points[1]))
    return found


def _one_by_one(rival: Rival, queries: np.ndarray, setting: Any) -> None:
    for row in range(len(queries)):
        rival.single(queries[row : row + 1], setting)


def _hnswlib(library: Any, vectors: np.ndarray) -> tuple[Sequence[Any], Search, Search]:
    index = library.Index(space="ip", dim=vectors.shape[1])
    index.init_index(len(vectors), ef_construction=BUILD_EFFORT, M=LINKS)
    index.add_items(vectors)
    index.set_num_threads(1)

    def search(queries: np.ndarray, effort: int) -> np.ndarray:
        index.set_ef(effort)
        return index.knn_query(queries, NEAREST)[0]

    return EFFORTS, search, search


def _usearch(library: Any, vectors: np.ndarray) -> tuple[Sequence[Any], Search, Search]:
    index = importlib.import_module("usearch.index").Index(
        ndim=vectors.shape[1],
        metric="ip",
        dtype="f16",
        connectivity=LINKS,
        expansion_add=BUILD_EFFORT,
    )
    index.add(np.arange(len(vectors)), vectors)

    def search(queries: np.ndarray, effort: int) -> np.ndarray:
        index.expansion_search = effort
        return index.search(queries, NEAREST, threads=1).keys

    def single(queries: np.ndarray, effort: int) -> np.ndarray:
        index.expansion_search = effort
        return index.search(queries[0], NEAREST, threads=1).keys[None]

    return EFFORTS, search, single


def _scann(library: Any, vectors: np.ndarray) -> tuple[Sequence[Any], Search, Search]:
    leaves = round(len(vectors) ** 0.5)
    index = (
        library.scann_ops_pybind.builder(vectors, NEAREST, "dot_product")
        .tree(leaves, 64, training_sample_size=min(len(vectors), 250_000), soar_lambda=1.5)
        .score_ah(2, anisotropic_quantization_threshold=0.2)
        .reorder(max(REORDERED))
        .build()
    )

    def search(queries: np.ndarray, setting: tuple[int, int]) -> np.ndarray:
        read, compared = setting
        return index.search_batched(
            queries, leaves_to_search=read, pre_reorder_num_neighbors=compared
        )[0]

    def single(queries: np.ndarray, setting: tuple[int, int]) -> np.ndarray:
        read, compared = setting
        found = index.search(queries[0], leaves_to_search=read, pre_reorder_num_neighbors=compared)
        return found[0][None]

    return list(itertools.product(LEAVES, REORDERED)), search, single
