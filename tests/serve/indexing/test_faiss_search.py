"""Tests of serve/indexing/faiss_search.py."""

import faiss
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from serve.indexing.factory import Factory
from serve.indexing.faiss_search import FaissSearch
from serve.indexing.training import train

COUNT, DIM = 3000, 32


@pytest.fixture(scope="module")
def vectors():
    found = np.random.default_rng(0).normal(size=(COUNT, DIM)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def built(text, vectors):
    with threadpool_limits(1):  # several would wait for each other longer than they compute
        index = train(Factory(text), vectors, 0)
        index.add_with_ids(vectors, np.arange(len(vectors)))
    return index


@pytest.mark.parametrize("text", ["PCAR16,IVF16,PQ16x4fsr", "IVF16,PQ32x4fs"])
@pytest.mark.parametrize("restricted", [False, True])
def test_scanning_by_query_finds_what_scanning_by_list_does(text, restricted, vectors):
    index = built(text, vectors)
    ways = {}
    asked = {"nprobe": 5}
    if restricted:
        allowed = np.packbits(np.arange(COUNT) % 3 == 0, bitorder="little")
        asked["sel"] = faiss.IDSelectorBitmap(allowed)
    settings = faiss.SearchParametersIVF(**asked)
    if text.startswith("PCA"):
        settings = faiss.SearchParametersPreTransform(index_params=settings)

    for way in ("by list", "by query"):
        if way == "by query":
            FaissSearch(index)
        for several in (True, False):
            parts = [vectors[:50]] if several else [vectors[i : i + 1] for i in range(50)]
            found = [index.search(part, 40, params=settings) for part in parts]
            ways[way, several] = np.concatenate([similar for similar, _ in found])

    for found in ways.values():
        np.testing.assert_allclose(found, ways["by list", True], atol=0.02)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_what_is_not_there_is_infinitely_far(count, vectors):
    search = FaissSearch(built("IVF16,Flat", vectors))
    allowed = np.zeros(-(-COUNT // 8), np.uint8)
    allowed[1] = 0b11  # the ids 8 and 9

    found, ids = search(vectors[:count], 4, 16, allowed)

    assert found.shape == ids.shape == (count, 4)
    assert (np.sort(ids[:, :2]) == [8, 9]).all()
    np.testing.assert_allclose(
        found[:, :2], np.take_along_axis(vectors[:count] @ vectors.T, ids[:, :2], 1), atol=1e-5
    )
    assert (ids[:, 2:] == -1).all()
    assert (found[:, 2:] == -np.inf).all()


def test_one_query_takes_one_thread_and_leaves_the_number_as_it_was(vectors):
    search = FaissSearch(built("IVF16,Flat", vectors))
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        search(vectors[:1], 4, 16)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(usual)


def test_a_vector_of_another_length_is_refused(vectors):
    search = FaissSearch(built("IVF16,Flat", vectors))

    with pytest.raises(ValueError, match="takes vectors of 32 numbers; got 31"):
        search(vectors[:1, :31], 4, 16)
