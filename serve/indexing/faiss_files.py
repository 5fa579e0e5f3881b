"""FAISS indices as files with checksums, and searching them with settings of each call's own."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8

from embed.errors import DataError


def write_index(index: Any, path: Path) -> tuple[int, str]:
    """Writes an index through Python, whose errors say when the disk is full; FAISS's may not.

    Returns:
        Bytes and SHA-256 of the file.
    """
    import faiss

    untyped: Any = faiss  # its stubs do not know the writer
    sha = hashlib.sha256()
    with path.open("wb") as file:

        def write(block: bytes) -> int:
            sha.update(block)
            return file.write(block)

        untyped.write_index(index, untyped.PyCallbackIOWriter(write))
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    return size, sha.hexdigest()


def read_index(path: Path) -> Any:
    """Reads an index into memory.

    Not mapped: codes would be copied anyway, and search crashes in a mapped index whose lists were
    mapped when it was written.

    Raises:
        DataError: it is none.
    """
    import faiss

    try:
        return faiss.read_index(str(path))
    except RuntimeError as error:
        reason = str(error).rpartition("Error: ")[2]
        raise DataError(f"{path} is no index that FAISS can read: {reason}") from None


def check_bytes(path: Path, size: int, sha256: str) -> None:
    """Checks a file against its size and SHA-256.

    Raises:
        DataError: it is missing, cut short or damaged.
    """
    check_size(path, size)
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise DataError(f"{path} is damaged (its SHA-256 differs)")


def check_size(path: Path, size: int) -> None:
    """Checks the size of a file, without reading it.

    Raises:
        DataError: it is missing or of another size.
    """
    found = path.stat().st_size if path.exists() else 0
    if found != size:
        raise DataError(f"{path} has {found:,} bytes instead of {size:,}")


def search_index(
    index: Any,
    vectors: Float32[np.ndarray, "n dim"],
    k: int,
    nprobe: int,
    allowed: UInt8[np.ndarray, " bytes"] | None = None,
    compared: int | None = None,
) -> tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
    """Cosine similarities and ids of the locations most like each vector, best first.

    Args:
        index: of the IVF family.
        vectors: unit length.
        k: how many of each.
        nprobe: lists to read.
        allowed: a bit for each id that may be found; an id beyond them may not. All where None.
        compared: where the index compares what its codes propose, how much of that, from k on;
            k where it is not said.

    Returns:
        -inf and -1 where there are fewer.
    """
    return _search(index, _kind(index), vectors, k, nprobe, allowed, compared)


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


def _search(
    index: Any,
    kind: _Kind,
    vectors: Float32[np.ndarray, "n dim"],
    k: int,
    nprobe: int,
    allowed: UInt8[np.ndarray, " bytes"] | None,
    compared: int | None,
) -> tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
    import faiss

    factor = (compared or k) / k
    settings = (
        _settings(nprobe, kind, factor) if allowed is None else _made(nprobe, kind, factor, allowed)
    )
    vectors = np.ascontiguousarray(vectors, np.float32)
    count, dim = vectors.shape
    if dim != index.d:  # FAISS would read past the end
        raise ValueError(f"the index takes vectors of {index.d} numbers; got {dim}")
    found, ids = np.empty((count, k), np.float32), np.empty((count, k), np.int64)
    # What `search` of its Python module does, without a tenth of the cost of a single query.
    pointers = faiss.swig_ptr(vectors), k, faiss.swig_ptr(found), faiss.swig_ptr(ids)
    with _threads_for(count):
        index.search_c(count, *pointers, settings)
    if kind.squares:  # between unit vectors it is 2 - 2 cos, squared
        found *= -0.5
        found += 1
    found[ids < 0] = -np.inf
    return found, ids


@contextlib.contextmanager
def _threads_for(count: int) -> Iterator[None]:
    """One thread for one vector: more share no work then, but are woken all the same.

    OpenMP keeps the number for each thread that calls, so that others are not disturbed.
    """
    import faiss

    if count > 1:
        yield
        return
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)


class FaissSearch:
    """Searches a FAISS index; see `search_index`.

    Attributes:
        refines: whether what codes propose is compared with whole vectors.
    """

    def __init__(self, index: Any, vectors: Any = None) -> None:
        """Takes an index, and one of whole vectors to compare with what it finds."""
        self._parts = index, vectors  # FAISS does not keep them alive
        self._index = index if vectors is None else _refine(index, vectors)
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
        """See `search_index`."""
        return _search(self._index, self._kind, vectors, k, nprobe, allowed, compared)

    def refining(self, vectors: Any) -> "FaissSearch":
        """The same, comparing what it finds with vectors, in the order of ids."""
        return FaissSearch(self._parts[0], vectors)


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


def ids_in(index: Any, list_number: int) -> Int[np.ndarray, " n"]:
    """The ids in one inverted list."""
    import faiss

    lists: Any = faiss.extract_index_ivf(index).invlists
    size = lists.list_size(list_number)
    if not size:
        return np.empty(0, np.int64)
    found = faiss.rev_swig_ptr(lists.get_ids(list_number), size).copy()
    return np.asarray(found, np.int64)
