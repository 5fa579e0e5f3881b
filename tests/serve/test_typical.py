"""Tests of serve/searching/typical.py, and of what sets examples apart from that."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from embed.atlas import Atlas
from serve.index import build_index, open_index
from serve.queries import Query, Wish
from serve.search import Searcher
from serve.searching.typical import typical_of
from tests.atlases import make_atlas
from tests.serve.brute import everything, greedy

INSIDE = (292.0, 292.0, 435.0)


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory):
    """An atlas most of whose locations look alike, and a void in it."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(12, 14, 16, 16)) * 0.3 + np.linspace(-1, 1, 16)
    vectors[:3, :3, :3] = 0
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    atlas = make_atlas(tmp_path_factory.mktemp("lopsided") / "a", vectors=unit)
    build_index(atlas)
    return atlas


@pytest.fixture(scope="module")
def searcher(lopsided):
    return Searcher(lopsided, open_index(lopsided))


def test_of_a_small_atlas_it_is_the_mean_of_all_locations_with_data(lopsided):
    _, vectors, _ = everything(lopsided)

    np.testing.assert_allclose(typical_of(lopsided), vectors.mean(axis=0), atol=1e-6)
    assert 0.5 < np.linalg.norm(typical_of(lopsided)) < 1


def test_of_a_large_atlas_it_is_nearly_that(tmp_path):
    atlas = make_atlas(tmp_path / "a", (24, 40, 40), dim=8)
    _, vectors, _ = everything(atlas)
    spread = vectors.std() / np.sqrt(4096)

    found = typical_of(atlas)

    assert len(vectors) > 30_000
    assert np.abs(found - vectors.mean(axis=0)).max() < 5 * spread
    np.testing.assert_array_equal(typical_of(Atlas.open(atlas.path)), found)


def test_without_data_nothing_is_typical(tmp_path):
    atlas = make_atlas(tmp_path / "a", vectors=np.zeros((4, 4, 4, 5)))

    np.testing.assert_array_equal(typical_of(atlas), np.zeros(5))


def test_a_corrupt_shard_counts_for_nothing(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    first = next(
        f for f in sorted((tmp_path / "a" / "embeddings.zarr" / "c").rglob("0")) if f.is_file()
    )
    first.write_bytes(first.read_bytes()[:100])

    assert np.isfinite(typical_of(atlas)).all()
    assert np.linalg.norm(typical_of(atlas)) > 0


def test_it_is_forgotten_with_the_atlas(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    typical_of(atlas)
    gone = weakref.ref(atlas)

    del atlas
    gc.collect()

    assert gone() is None


@pytest.mark.parametrize("mode", ["average", "best"])
@settings(max_examples=12, deadline=None)
@drawn(
    seed=st.integers(0, 2**32 - 1),
    likes=st.integers(1, 3),
    unlikes=st.integers(0, 2),
    weight=st.floats(0.05, 1.5),
)
def test_searches_find_what_brute_force_finds(searcher, mode, seed, likes, unlikes, weight):
    rng = np.random.default_rng(seed)
    given = np.array([v / np.linalg.norm(v) for v in rng.normal(size=(likes + unlikes, 16))])
    like, unlike = given[:likes], given[likes:]
    query = Query(tuple(), tuple(), tuple(like), tuple(unlike), mode=mode, typical_weight=weight)

    result = searcher.find(query, Wish(10, 150.0))

    ids, vectors, positions = everything(searcher.atlas)
    typical = weight * vectors.mean(axis=0)
    if mode == "best":
        scores = _best(vectors, like - typical)
        scores = scores - _best(vectors, unlike - typical) if unlikes else scores
    else:
        weights = like.mean(axis=0) - typical
        weights = weights - 0.5 * unlike.mean(axis=0) if unlikes else weights
        scores = _best(vectors, weights[None])
    kept = greedy(ids, scores, positions, 10, 150.0)
    np.testing.assert_allclose([h.similarity for h in result.hits], scores[kept], atol=5e-6)


def _best(vectors, weights):
    return (vectors @ (weights / np.linalg.norm(weights, axis=1, keepdims=True)).T).max(axis=1)


def test_what_is_rare_is_found_before_what_is_everywhere(tmp_path):
    rng = np.random.default_rng(1)
    common, rare = np.eye(16)[0], np.eye(16)[1]
    vectors = common + 0.05 * rng.normal(size=(12, 14, 16, 16))
    vectors[6, 7, 2:14:2] = common + 0.6 * rare  # with little of what sets them apart
    vectors[2, 3, 2:14] = common + 0.3 * rng.normal(size=(12, 16)) + 0.2 * rare
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    atlas = make_atlas(tmp_path / "a", vectors=vectors)
    build_index(atlas)
    asked = common + 0.3 * rare
    alike = Searcher(atlas, open_index(atlas))

    plain = alike.find(Query(like=(asked,)), Wish(5, 0))
    apart = alike.find(Query(like=(asked,), typical_weight=0.9), Wish(5, 0))

    rows = {(6, 7, x) for x in range(2, 14, 2)}
    told = [
        {tuple(atlas.grid.cells_of(np.array([h.id]))[0].tolist()) for h in r.hits}
        for r in (plain, apart)
    ]
    assert len(told[0] & rows) < 3
    assert len(told[1] & rows) == 5


def test_pages_go_on_and_the_place_itself_is_told_as_ever(searcher):
    query = Query(like_nm_xyz=(INSIDE,), typical_weight=0.5)

    whole = searcher.find(query, Wish(20, 100))
    first = searcher.find(query, Wish(10, 100))
    second = searcher.find(query, Wish(10, 100, page=first.next_page))

    assert [h.id for h in first.hits + second.hits] == [h.id for h in whole.hits]
    assert whole.query_nm_xyz == INSIDE
    assert np.linalg.norm(whole.query_vector) == pytest.approx(1, abs=1e-3)
