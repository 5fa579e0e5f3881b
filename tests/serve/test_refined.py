"""Tests of serve/searching/refined.py."""

import faiss
import numpy as np
import pytest

from embed.atlas import Atlas
from serve.index import build_index, open_index
from serve.locations import similarities
from serve.searching.refined import refined
from tests.atlases import make_atlas

MUCH = 2**30


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """An atlas with an index of codes."""
    atlas = make_atlas(tmp_path_factory.mktemp("refined") / "a")
    build_index(atlas, factory="PCAR12,IVF8,PQ12x4fs")
    return atlas.path


@pytest.mark.parametrize("lists", [1, 8])
def test_similarities_and_their_order_are_those_of_the_stored_vectors(path, lists):
    atlas = Atlas.open(path)
    index = open_index(atlas)
    queries = atlas.embeddings(np.array([900, 1500, 2600]))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _, proposed = index.search(queries, 600, lists)
    exact = similarities(atlas, queries, proposed)

    found, ids = refined(index, atlas, MUCH).search(queries, 600, lists)

    assert [set(row) for row in ids.tolist()] == [set(row) for row in proposed.tolist()]
    np.testing.assert_allclose(found, -np.sort(-exact, axis=1), atol=2e-6)
    assert (np.isneginf(found) == (ids < 0)).all()
    assert np.isneginf(found).any() == (lists == 1)


def test_only_what_is_allowed_is_found(path):
    atlas = Atlas.open(path)
    allowed = np.zeros(-(-atlas.grid.size // 8), np.uint8)
    allowed[200:210] = 255

    _, ids = refined(open_index(atlas), atlas, MUCH).search(
        np.eye(16, dtype=np.float32)[:2], 100, 8, allowed
    )

    assert [sorted(row[row >= 0].tolist()) for row in ids] == [list(range(1600, 1680))] * 2


def test_vectors_of_the_atlas_are_read_from_memory_where_they_fit(path):
    atlas = Atlas.open(path)
    numbers = np.array([5, 1000, 2000])
    stored = atlas.embeddings(numbers)
    size = 4 * atlas.grid.size * 16

    too_large = refined(open_index(atlas), atlas, size - 1)
    assert not too_large.tells_exactly
    fits = refined(open_index(atlas), atlas, size)
    (atlas.path / "embeddings.zarr").rename(path / "away")
    try:
        held = atlas.embeddings(numbers)
    finally:
        (path / "away").rename(atlas.path / "embeddings.zarr")

    assert fits.tells_exactly
    np.testing.assert_allclose(held, stored, atol=1e-3)


def test_one_vector_is_searched_by_one_thread_and_the_callers_number_stays(path):
    index, asked = open_index(Atlas.open(path)), []
    search = index._search._index.search_c
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        index._search._index.search_c = lambda *a: (
            asked.append(faiss.omp_get_max_threads()) or search(*a)
        )
        for count in (1, 2):
            index.search(np.eye(16, dtype=np.float32)[:count], 5, 8)
        assert (*asked, faiss.omp_get_max_threads()) == (1, 3, 3)
    finally:
        faiss.omp_set_num_threads(usual)
