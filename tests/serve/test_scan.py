"""Tests of serve/searching: scan.py and similarity_map.py: every location, as list or volume."""

import numpy as np
import pytest

import serve.searching.scan
import serve.searching.similarity_map
from embed.errors import DataError, OutOfBoundsError, RequestError
from serve.index import open_index
from serve.queries import Filters, Query
from serve.search import Searcher
from tests.serve.brute import everything, segment_at, write_segmentation

PLACE = (292.0, 292.0, 435.0)
BOX = ((200.0, 100.0, 30.0), (500.0, 450.0, 600.0))


@pytest.fixture(scope="session")
def searcher(atlas, index, tmp_path_factory):
    path = tmp_path_factory.mktemp("segments") / "s.zarr"
    return Searcher(atlas, index, write_segmentation(path))


@pytest.mark.parametrize("at_least", [-1.0, 0.2, 0.7])
@pytest.mark.parametrize(
    "filters", [Filters(), Filters((BOX,)), Filters((BOX,), frozenset({1, 112}))]
)
def test_everything_above_a_similarity_is_found_in_the_order_of_the_store(
    searcher, monkeypatch, filters, at_least
):
    monkeypatch.setattr(serve.searching.scan, "AT_ONCE", 37)
    query = Query(like_nm_xyz=(PLACE,))

    parts = list(searcher.find_all(query, at_least, filters))

    ids, vectors, positions = everything(searcher.atlas)
    itself = int(searcher.atlas.ids_at(np.array([PLACE]))[0])
    scores = vectors @ vectors[ids == itself][0]
    wanted = (scores >= at_least) & (ids != itself)
    if filters.boxes_nm:
        wanted &= ((positions >= BOX[0]) & (positions < BOX[1])).all(axis=1)
    if filters.segments:
        wanted &= np.isin(segment_at(positions), [1, 112])
    hits = [hit for _, some in parts for hit in some]
    assert [hit.id for hit in hits] == ids[wanted].tolist()
    np.testing.assert_allclose([h.similarity for h in hits], scores[wanted], atol=3e-6)
    assert all(hit.exact for hit in hits)
    assert max(len(some) for _, some in parts) <= 37
    assert parts[-1][0].shards_done == parts[-1][0].shards


@pytest.mark.parametrize("most", [1, 36, 37, 300])
def test_no_more_are_told_than_asked_for_and_the_last_part_says_so(searcher, monkeypatch, most):
    monkeypatch.setattr(serve.searching.scan, "AT_ONCE", 37)
    query = Query(like_nm_xyz=(PLACE,))
    whole = [hit for _, some in searcher.find_all(query, 0.2) for hit in some]

    *parts, (last, some) = searcher.find_all(query, 0.2, most=most)

    told = [hit for _, hits in parts for hit in hits] + list(some)
    assert told == whole[:most]
    assert not any(part.stopped for part, _ in parts)
    assert f"at most {most:,} places" in last.stopped


def test_as_many_as_there_are_are_told_without_a_word(searcher):
    query = Query(like_nm_xyz=(PLACE,))
    count = sum(len(some) for _, some in searcher.find_all(query, 0.2))

    parts = list(searcher.find_all(query, 0.2, most=count))

    assert sum(len(some) for _, some in parts) == count
    assert not any(part.stopped for part, _ in parts)


def test_given_places_are_found_with_their_segments(given):
    searcher = Searcher(given, open_index(given))
    filters = Filters((), frozenset({2**60, 0}))

    hits = [
        h for _, some in searcher.find_all(Query(like=(np.ones(16),)), -1, filters) for h in some
    ]

    ids, _, _ = everything(given)
    expected = [i for i in ids.tolist() if given.known_of(np.array([i]))[0][0] in (None, 2**60)]
    assert [hit.id for hit in hits] == expected


def test_a_similarity_that_is_no_number_and_segments_unknown_are_refused(atlas, index):
    searcher, query = Searcher(atlas, index), Query(like=(np.ones(16),))

    with pytest.raises(RequestError, match="got nan"):
        next(iter(searcher.find_all(query, float("nan"))))
    with pytest.raises(DataError, match="--segmentation"):
        next(iter(searcher.find_all(query, 0.5, Filters((), frozenset({1})))))


@pytest.mark.parametrize("at_once", [100, 2**18])
@pytest.mark.parametrize(("dtype", "error"), [("uint8", 1 / 254 + 1e-6), ("float16", 1e-3)])
def test_a_map_holds_the_similarity_of_every_location_in_the_box(
    searcher, monkeypatch, at_once, dtype, error
):
    monkeypatch.setattr(serve.searching.similarity_map, "_AT_ONCE", at_once)
    atlas = searcher.atlas

    found = searcher.map_similarity(Query(like_nm_xyz=(PLACE,)), BOX, dtype)

    z, y, x = found.values.shape
    steps = np.stack(np.meshgrid(*map(np.arange, (z, y, x)), indexing="ij"), axis=-1)[..., ::-1]
    positions = found.first_nm_xyz + steps.reshape(-1, 3) * found.step_nm_xyz
    assert ((positions >= BOX[0]) & (positions < BOX[1])).all()
    ids, vectors, places = everything(atlas)
    inside = ((places >= BOX[0]) & (places < BOX[1])).all(axis=1)
    told = found.similarities.reshape(-1)
    assert np.count_nonzero(~np.isnan(told)) == inside.sum()
    numbers = atlas.ids_at(positions)
    itself = vectors[ids == atlas.ids_at(np.array([PLACE]))[0]][0]
    scores = dict(zip(ids.tolist(), (vectors @ itself).tolist(), strict=True))
    for number, value in zip(numbers.tolist(), told.tolist(), strict=True):
        assert abs(value - scores[number]) <= error if number in scores else np.isnan(value)
    assert found.values.dtype == dtype


def test_a_map_of_a_difference_runs_from_minus_two_to_two(searcher):
    query = Query(like=(np.ones(16),), unlike=(-np.ones(16),), mode="best")

    found = searcher.map_similarity(query, BOX)

    _, vectors, places = everything(searcher.atlas)
    inside = ((places >= BOX[0]) & (places < BOX[1])).all(axis=1)
    assert (found.lowest, found.highest) == (-2, 2)
    expected = np.sort(2 * vectors[inside] @ np.ones(16) / 4)
    told = np.sort(found.similarities[~np.isnan(found.similarities)])
    np.testing.assert_allclose(told, expected, atol=2 / 254 + 1e-6)


def test_maps_that_cannot_be_made_are_refused(searcher, given, monkeypatch):
    query = Query(like=(np.ones(16),))

    with pytest.raises(OutOfBoundsError, match="no location lies in the box"):
        searcher.map_similarity(query, ((9e6, 0, 0), (9.1e6, 1, 1)))
    with pytest.raises(RequestError, match="float16; got int8"):
        searcher.map_similarity(query, BOX, "int8")
    with pytest.raises(RequestError, match="given places"):
        Searcher(given, open_index(given)).map_similarity(query, BOX)
    monkeypatch.setattr(serve.searching.similarity_map, "MOST", 100)
    with pytest.raises(RequestError, match="at most 100: ask for parts"):
        searcher.map_similarity(query, BOX)
