"""Tests of serve/search.py and serve/searching/voids.py."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import serve.searching.supplies
from embed.errors import DataError, OutOfBoundsError, RequestError
from serve.index import build_index, open_index
from serve.locations import shard_locations
from serve.search import MAX_HITS, Searcher
from tests.atlases import make_atlas, smooth_vectors

PLACE = (292.0, 292.0, 435.0)
"""A position in nm, XYZ, where every atlas of these tests has a location with data."""


@pytest.fixture(scope="session")
def searcher(atlas, index):
    return Searcher(atlas, index)


@pytest.fixture(scope="session")
def everything_read(tmp_path_factory):
    """A searcher over inverted lists that are all read."""
    atlas = make_atlas(tmp_path_factory.mktemp("lists") / "a", (9, 10, 11), 8, seed=5)
    manifest = build_index(atlas, factory="IVF16,Flat")
    path = atlas.path / "index" / manifest.version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "nprobe": manifest.lists}))
    return Searcher(atlas, open_index(atlas))


@pytest.fixture(scope="session")
def few_read(tmp_path_factory):
    """A searcher over inverted lists of which one in eight is read at first."""
    atlas = make_atlas(tmp_path_factory.mktemp("few") / "a")
    manifest = build_index(atlas, factory="IVF32,Flat")
    path = atlas.path / "index" / manifest.version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "nprobe": 4}))
    return Searcher(atlas, open_index(atlas))


@pytest.fixture(scope="session")
def coded(tmp_path_factory):
    """A searcher over 4-bit codes."""
    atlas = make_atlas(tmp_path_factory.mktemp("codes") / "a")
    build_index(atlas, factory="PCAR12,IVF8,PQ12x4fs")
    return Searcher(atlas, open_index(atlas))


def _brute_force(searcher, vector, k, separation, query_nm_xyz):
    """Similarities of greedy suppression over every location, in a plain loop."""
    atlas = searcher.atlas
    parts = [locations for _, locations in shard_locations(atlas)]
    ids = np.concatenate([part.ids for part in parts])
    similarities = np.concatenate([part.vectors for part in parts]) @ vector
    positions = atlas.positions_nm_xyz(ids)
    kept = [np.asarray(query_nm_xyz)]
    found = []
    for best in np.lexsort((ids, -similarities)):
        distance = np.linalg.norm(np.array(kept) - positions[best], axis=1).min()
        if distance > 0 and distance >= separation * (1 - 1e-9) and len(found) < k:
            kept.append(positions[best])
            found.append(similarities[best])
    return found


def _least_distance(positions):
    return min(
        (np.linalg.norm(np.subtract(a, b)) for a, b in itertools.combinations(positions, 2)),
        default=np.inf,
    )


@pytest.mark.parametrize("which", ["searcher", "everything_read"])
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 60),
    separation=st.sampled_from([0.0, 32.0, 100.0, 150.0, 333.3]),
)
def test_hits_are_those_of_brute_force_greedy_suppression(request, which, seed, k, separation):
    searcher = request.getfixturevalue(which)
    low, high = map(np.array, searcher.atlas.extent_nm_xyz)
    place = low + np.random.default_rng(seed).uniform(0.5, 1, 3) * (high - low)

    result = searcher.find_at(place.tolist(), k, separation)

    vector = searcher.atlas.embeddings(np.array([result.query_id]))[0]
    vector /= np.linalg.norm(vector)
    expected = _brute_force(searcher, vector, k, separation, result.query_nm_xyz)
    found = [hit.similarity for hit in result.hits]
    np.testing.assert_allclose(found, np.clip(expected, -1, 1), atol=2e-6)
    positions = [result.query_nm_xyz, *(hit.position_nm_xyz for hit in result.hits)]
    assert _least_distance(positions) >= separation * (1 - 1e-9)
    assert result.exact
    assert result.complete == (len(expected) == k) == (result.reason == "")


def test_a_hit_tells_its_location_its_centre_and_its_similarity(atlas, searcher):
    result = searcher.find_at(PLACE, 3)

    ids = np.array([hit.id for hit in result.hits])
    vectors = atlas.embeddings(np.append(ids, result.query_id))
    similarities = vectors[:-1] @ vectors[-1]
    np.testing.assert_allclose(
        [hit.position_nm_xyz for hit in result.hits], atlas.positions_nm_xyz(ids)
    )
    np.testing.assert_allclose([h.similarity for h in result.hits], similarities, atol=2e-3)
    assert result.query_nm_xyz == PLACE
    assert sorted(similarities, reverse=True) == pytest.approx(similarities)


def test_the_nearest_location_is_asked_for(searcher):
    x, y, z = PLACE

    result = searcher.find_at((x + 15, y - 15, z + 29), 3)

    assert result == searcher.find_at(PLACE, 3)


def test_without_a_separation_hits_are_a_field_of_view_apart(searcher):
    result = searcher.find_at(PLACE, 20)

    positions = [result.query_nm_xyz, *(hit.position_nm_xyz for hit in result.hits)]
    assert searcher.default_separation_nm == 5 * 30
    assert _least_distance(positions) >= searcher.default_separation_nm


def test_a_separation_of_zero_leaves_out_the_query_alone(searcher):
    result = searcher.find_at(PLACE, 1, 0)

    assert result.hits[0].id != result.query_id
    assert np.linalg.norm(np.subtract(result.hits[0].position_nm_xyz, PLACE)) < 100


@pytest.mark.parametrize("which", ["searcher", "few_read", "coded"])
def test_a_short_list_comes_with_its_reason_and_only_after_looking_at_everything(request, which):
    searcher = request.getfixturevalue(which)

    result = searcher.find_at(PLACE, 500, 200)

    assert not result.complete
    assert 5 < len(result.hits) < 100
    assert result.reason == (
        f"only {len(result.hits)} places are at least 200 nm from each other and from the query"
    )
    assert result.candidates == 12 * 14 * 16 - 64


def test_a_search_that_gives_up_says_how_far_it_looked(searcher, monkeypatch):
    monkeypatch.setattr(serve.searching.supplies, "MAX_FETCH", 1500)

    result = searcher.find_like(np.ones(16), 375, 100)

    assert not result.complete
    assert result.reason == (
        f"only {len(result.hits)} places are at least 100 nm apart among the "
        f"{result.candidates:,} most similar locations"
    )
    assert 1400 < result.candidates < 1500


def test_every_place_can_be_asked_for(searcher):
    result = searcher.find_at(PLACE, MAX_HITS, 0)

    assert len(result.hits) == 12 * 14 * 16 - 64 - 1
    assert result.reason == "only 2623 places besides the query have data"


def test_more_lists_are_read_where_the_first_ones_run_dry(few_read, searcher):
    wanted = [hit.id for hit in searcher.find_at(PLACE, 40, 100).hits]

    result = few_read.find_at(PLACE, 40, 100)

    assert result.complete
    assert len({hit.id for hit in result.hits} & set(wanted)) >= 30


def test_codes_choose_candidates_but_similarities_are_exact(coded, searcher):
    wanted = searcher.find_at(PLACE, 5)

    result = coded.find_at(PLACE, 5)

    assert not result.exact
    assert result.candidates >= 1000
    assert [hit.id for hit in result.hits] == [hit.id for hit in wanted.hits]
    assert [h.similarity for h in result.hits] == pytest.approx([h.similarity for h in wanted.hits])


def test_of_equally_similar_places_the_lower_id_comes_first(tmp_path):
    vectors = smooth_vectors((12, 12, 12), 8, 0)
    vectors[6:] = vectors[7, 7, 7]
    atlas = make_atlas(tmp_path / "a", vectors=vectors)
    build_index(atlas)
    searcher = Searcher(atlas, open_index(atlas))

    result = searcher.find_like(vectors[7, 7, 7], 300, 0)

    first = int(atlas.grid.ids(np.array([[6, 0, 0]]))[0])
    assert [hit.id for hit in result.hits] == list(range(first, first + 300))


def test_a_vector_is_searched_whatever_its_length(atlas, searcher):
    at = searcher.find_at(PLACE, 8)
    vector = atlas.embeddings(np.array([at.query_id]))[0].astype(np.float64)

    found = [
        searcher.find_like(vector * scale, 8, exclude_nm_xyz=PLACE) for scale in (1e-200, 1, 1e200)
    ]

    assert [[hit.id for hit in result.hits] for result in found] == [[h.id for h in at.hits]] * 3
    assert found[0].hits == found[1].hits == found[2].hits
    assert found[0].query_id is None
    assert found[0].query_nm_xyz is None


def test_several_places_can_be_excluded(searcher):
    first = searcher.find_like(np.ones(16), 5)
    places = np.array([hit.position_nm_xyz for hit in first.hits])

    second = searcher.find_like(np.ones(16), 5, exclude_nm_xyz=places)

    assert _least_distance([*places, *(hit.position_nm_xyz for hit in second.hits)]) >= 150


def test_a_place_without_data_is_refused_and_the_nearest_with_data_is_named(atlas, searcher):
    with pytest.raises(DataError) as error:
        searcher.find_at((68, 68, 75))

    # Four steps of 32 nm along x or y against four of 60 along z.
    assert "(68, 68, 75) nm (XYZ); the nearest place with data is (196, 68, 75) nm" in str(
        error.value
    )


def test_a_place_far_from_any_data_is_refused_all_the_same(tmp_path):
    vectors = np.zeros((3, 3, 80, 4))
    vectors[:, :, 79] = 0.5
    atlas = make_atlas(tmp_path / "a", vectors=vectors)
    build_index(atlas)

    with pytest.raises(DataError, match="nor anywhere near it"):
        Searcher(atlas, open_index(atlas)).find_at(atlas.extent_nm_xyz[0])


def test_a_place_outside_the_atlas_is_refused_with_its_extent(searcher):
    with pytest.raises(OutOfBoundsError, match=r"\(548, 484, 735\) nm"):
        searcher.find_at((5000, 100, 100))


@pytest.mark.parametrize("k", [0, -1, MAX_HITS + 1, 10**6])
def test_a_number_of_hits_out_of_range_is_refused(searcher, k):
    with pytest.raises(RequestError, match=f"1 to 10000; got {k}"):
        searcher.find_at(PLACE, k)
    with pytest.raises(RequestError, match=f"1 to 10000; got {k}"):
        searcher.find_like(np.ones(16), k)


@pytest.mark.parametrize("separation", [-1.0, np.nan, np.inf])
def test_a_separation_out_of_range_is_refused(searcher, separation):
    with pytest.raises(RequestError, match="finite distance in nm, 0 or more"):
        searcher.find_at(PLACE, 3, separation)


@pytest.mark.parametrize("place", [(1, 2), (1, 2, 3, 4), (np.nan, 1, 2), (1, np.inf, 3)])
def test_a_position_that_is_none_is_refused(searcher, place):
    with pytest.raises(RequestError, match=r"three finite numbers in nm \(XYZ\)"):
        searcher.find_at(place)


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        (np.ones(15), "16-dimensional embeddings; the query has 15 numbers"),
        (np.ones((2, 16)), "16-dimensional embeddings; the query has 32 numbers"),
        (np.zeros(16), "not all zero"),
        (np.full(16, np.nan), "finite numbers"),
        (np.full(16, np.inf), "finite numbers"),
    ],
)
def test_a_vector_that_points_nowhere_is_refused(searcher, vector, words):
    with pytest.raises(RequestError, match=words):
        searcher.find_like(vector)


def test_results_cannot_be_changed(searcher):
    result = searcher.find_at(PLACE, 1)

    with pytest.raises(dataclasses.FrozenInstanceError):
        result.hits[0].similarity = 0.5
