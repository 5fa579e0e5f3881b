"""Tests of serve/indexing/spacing.py, and of searching an index of every second location."""

import numpy as np
import pytest

from embed.errors import ConfigError
from embed.geometry import Grid
from serve.index import build_index, open_index
from serve.indexing.spacing import around, grown, representatives
from serve.queries import Filters, Query, Wish
from serve.search import Searcher
from tests.atlases import make_atlas
from tests.serve.brute import everything, greedy

GRID = Grid((0, 0, 0), (5, 5, 5), (2, 2, 2), (5, 6, 7))


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """An atlas of 13 x 15 x 17 locations, and its index of every second one."""
    atlas = make_atlas(tmp_path_factory.mktemp("sparse") / "a", (13, 15, 17))
    build_index(atlas, every=2)
    return atlas, open_index(atlas)


def test_one_location_stands_for_each_cube():
    ids = np.flatnonzero(np.random.default_rng(0).random(GRID.size) < 0.3)

    chosen = ids[representatives(GRID, ids)]

    cubes = GRID.cells_of(chosen) // 2
    assert len(np.unique(cubes, axis=0)) == len(chosen)
    assert len(chosen) == len(np.unique(GRID.cells_of(ids) // 2, axis=0))


def test_every_location_is_beside_the_one_that_stands_for_it():
    ids = np.flatnonzero(np.random.default_rng(1).random(GRID.size) < 0.3)

    reached = around(GRID, ids[representatives(GRID, ids)])

    assert np.isin(ids, reached).all()


def test_neighbours_are_those_a_step_away_and_none_beyond_the_border():
    found = around(GRID, np.array([0, 93, -1]))

    steps = np.abs(GRID.cells_of(found[1][found[1] >= 0]) - GRID.cells_of(np.array([93])))
    assert found.shape == (3, 27)
    assert found[:2, 0].tolist() == [0, 93]
    assert (found[0] >= 0).sum() == 8
    assert (found[2] == -1).all()
    assert steps.max() == 1


def test_bits_grow_by_a_step():
    mask = np.zeros(GRID.size, bool)
    mask[[0, 93]] = True

    bits = grown(GRID, np.packbits(mask, bitorder="little"))

    expected = np.unique(around(GRID, np.array([0, 93])))[1:]
    found = np.flatnonzero(np.unpackbits(bits, count=GRID.size, bitorder="little"))
    np.testing.assert_array_equal(found, expected)


def test_an_eighth_is_indexed_and_as_much_is_found(sparse):
    atlas, index = sparse
    ids, vectors, places = everything(atlas)
    searcher = Searcher(atlas, index)
    shares = []
    for row in range(1000, 2000, 97):
        result = searcher.find_at(places[row], 10)
        kept = greedy(ids, vectors @ vectors[row], places, 10, 150, excluded=places[[row]])
        shares.append(len({hit.id for hit in result.hits} & set(ids[kept].tolist())) / 10)
        assert result.complete
        assert not result.exact

    assert index.size == -(-13 // 2) * -(-15 // 2) * -(-17 // 2) - 8
    assert index.manifest.locations == len(ids)
    assert index.manifest.recall > 0.9
    assert np.mean(shares) > 0.95


def test_when_all_are_asked_for_all_are_found_and_no_voids(sparse):
    atlas, index = sparse
    ids, vectors, _ = everything(atlas)

    result = Searcher(atlas, index).find(Query(like=(vectors[7],)), Wish(len(ids), 0))

    assert sorted(hit.id for hit in result.hits) == sorted(ids.tolist())
    np.testing.assert_allclose(
        [hit.similarity for hit in result.hits], np.sort(vectors @ vectors[7])[::-1], atol=1e-5
    )


def test_a_filter_holds_for_neighbours_too(sparse, monkeypatch):
    atlas, index = sparse
    monkeypatch.setattr("serve.searching.selection.FEW", 10)
    ids, vectors, places = everything(atlas)
    box = ((140, 140, 200), (360, 380, 700))
    inside = ((places >= box[0]) & (places < box[1])).all(axis=1)

    wish = Wish(10_000, 0, Filters(boxes_nm=(box,)))
    result = Searcher(atlas, index).find(Query(like=(vectors[7],)), wish)

    assert sorted(hit.id for hit in result.hits) == sorted(ids[inside].tolist())


def test_it_stays_as_it_is_until_another_spacing_is_asked_for(tmp_path):
    atlas = make_atlas(tmp_path / "a", (6, 6, 6))
    first = build_index(atlas, every=2)

    same = build_index(atlas)
    all_of_them = build_index(atlas, every=1)

    assert same == first
    assert (first.every, all_of_them.every) == (2, 1)


def test_given_places_have_none(given):
    with pytest.raises(ConfigError, match="given places have no neighbours"):
        build_index(given, every=2)


def test_every_third_is_refused(atlas):
    with pytest.raises(ConfigError, match="got 3"):
        build_index(atlas, every=3)
