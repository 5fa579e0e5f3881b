"""Searching a FAISS index with settings of each call's own."""

import functools
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8

_BY_QUERY = 11
"""FAISS's number for scanning codes query by query, and sorting candidates at the end."""


class FaissSearch:
    """Searches a FAISS index of the IVF family. Safe to use from many threads.

    Attributes:
        refines: whether what codes propose is compared with whole vectors.
    """

    def __init__(self, index: Any, vectors: Any = None) -> None:
        """Takes an index, and one of whole vectors to compare with what it finds."""
        _scan_by_query(index)
        self._parts = index, vectors  # FAISS does not keep them alive
        self._index = index if vectors is None else _refine(index, vectors)
        self._dim = self._index.d
        self._kind = _kind(self._index)
        self.refines = vectors is not None

    def __call__(
        self,
        vectors: Float32[np.ndarray, "n dim"],
        k: int,
        nprobe: int,
        allowed: UInt8[np.ndarray, " bytes"] | None = None,
        compared: int | None = None,
    ) -> tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
        """Cosine similarities and ids of the locations most like each vector, best first.

        Args:
            vectors: unit length.
            k: how many of each.
            nprobe: lists to read.
            allowed: a bit for each id that may be found; an id beyond them may not. All where None.
            compared: where it compares what its codes propose, how much of that, from k on; k where
                it is not said.

        Returns:
            -inf and -1 where there are fewer.
        """
        factor = (compared or k) / k
        if allowed is None:
            settings = _settings(nprobe, self._kind, factor)
        else:
            settings = _made(nprobe, self._kind, factor, allowed)
        vectors = np.ascontiguousarray(vectors, np.float32)
        count, dim = vectors.shape
        if dim != self._dim:  # FAISS would read past the end
            raise ValueError(f"the index takes vectors of {self._dim} numbers; got {dim}")
        found, ids = np.empty((count, k), np.float32), np.empty((count, k), np.int64)
        if count:  # FAISS spoils memory where there are none
            self._fill(vectors, found, ids, settings)
        if self._kind.squares:  # between unit vectors it is 2 - 2 cos, squared
            found *= -0.5
            found += 1
        if _lacks_some(ids):
            found[ids < 0] = -np.inf
        return found, ids

    def refining(self, vectors: Any) -> "FaissSearch":
        """The same, comparing what it finds with vectors, in the order of ids."""
        return FaissSearch(self._parts[0], vectors)

    def _fill(
        self,
        vectors: Float32[np.ndarray, "n dim"],
        found: Float32[np.ndarray, "n k"],
        ids: Int[np.ndarray, "n k"],
        settings: Any,
    ) -> None:
        """What `search` of FAISS's Python module does, without a tenth of a single query's cost."""
        import faiss

        pointers = faiss.swig_ptr(vectors), ids.shape[1], faiss.swig_ptr(found), faiss.swig_ptr(ids)
        usual = faiss.omp_get_max_threads()
        if len(vectors) > 1 or usual == 1:
            self._index.search_c(len(vectors), *pointers, settings)
            return
        # More threads share no work on one vector, but are woken all the same. OpenMP keeps the
        # number for each thread that calls, so that others are not disturbed.
        faiss.omp_set_num_threads(1)
        try:
            self._index.search_c(1, *pointers, settings)
        finally:
            faiss.omp_set_num_threads(usual)


def _lacks_some(ids: Int[np.ndarray, "n k"]) -> bool:
    """Whether a query found fewer than k: then its last are missing."""
    if len(ids) == 1:  # a tenth of what it costs below
        return ids.item(-1) < 0
    return bool((ids[:, -1] < 0).any())


class _Kind(NamedTuple):
    """What decides the settings of a search: wrappers of an index, and how it measures."""

    projects: bool
    refines: bool
    squares: bool


def _kind(index: Any) -> _Kind:
    import faiss

    refines = isinstance(index, faiss.IndexRefine)
    base = faiss.downcast_index(index.base_index) if refines else index
    squares = index.metric_type == faiss.METRIC_L2
    return _Kind(isinstance(base, faiss.IndexPreTransform), refines, squares)


def _scan_by_query(index: Any) -> None:
    """Has codes scanned for one query after the other.

    FAISS would go list by list, which pays where queries share tables. Here each has its own, since
    codes are of what is left of a vector beside the centre of its list: going by list costs a
    fifteenth more of a batch and an eighth more of a single query, and finds the same to a
    thousandth (`python -m tests.benchmarks.bench_scan`).
    """
    import faiss

    lists = faiss.try_extract_index_ivf(index)
    scanned = lists if lists is None else faiss.downcast_index(lists)
    if isinstance(scanned, faiss.IndexIVFFastScan):
        scanned.implem = _BY_QUERY


def _refine(index: Any, vectors: Any) -> Any:
    import faiss

    # FAISS wants as many vectors as are in the index, which has none for locations without data.
    count, vectors.ntotal = vectors.ntotal, index.ntotal
    found = faiss.IndexRefine(index, vectors)
    vectors.ntotal = found.ntotal = count
    return found


@functools.lru_cache(64)
def _settings(nprobe: int, kind: _Kind, factor: float) -> Any:
    """Those that allow everything; making them takes a tenth of a small search."""
    return _made(nprobe, kind, factor)


def _made(
    nprobe: int,
    kind: _Kind,
    factor: float,
    allowed: UInt8[np.ndarray, " bytes"] | None = None,
) -> Any:
    """Settings that travel with a call, never in the index, so that calls do not disturb others."""
    import faiss

    untyped: Any = faiss  # its stubs do not know that settings take keywords
    selector = {} if allowed is None else {"sel": untyped.IDSelectorBitmap(allowed)}
    settings = untyped.SearchParametersIVF(nprobe=nprobe, **selector)
    if kind.projects:
        settings = untyped.SearchParametersPreTransform(index_params=settings)
    if kind.refines:
        settings = untyped.IndexRefineSearchParameters(k_factor=factor, base_index_params=settings)
    return settings
