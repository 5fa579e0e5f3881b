"""Tests of serve/mapping/segments.py."""

import numpy as np
import pytest

from embed.errors import ConfigError, DataError
from serve.mapping.segments import summarise_segments
from serve.searching.place_segments import PlaceSegments
from tests.serve.mapping.maps import FixedMap

CLASSES = ("axon", "mito")
STEP = np.array([60, 32, 32])


class Segments(PlaceSegments):
    """Segments that are given for each cell."""

    def __init__(self, atlas, ids):
        super().__init__(atlas)
        self._ids = ids

    def require(self):
        pass

    def of_cells(self, cells):
        return self._ids[cells.slices]


@pytest.fixture(scope="module")
def scene(atlas):
    """Probabilities and segments at random, some of neither."""
    rng = np.random.default_rng(0)
    share = rng.random(atlas.grid.shape)
    values = np.stack([share, 1 - share], axis=-1) * (rng.random(share.shape) > 0.1)[..., None]
    ids = rng.integers(0, 5, atlas.grid.shape).astype(np.uint64) * np.uint64(2**61)
    return values.astype(np.float32), ids


def by_hand(values, ids, radius):
    """Locations, votes and means of each segment, one location after another."""
    cells = np.argwhere((ids > 0) & values.any(axis=-1))
    places, own = cells * STEP, ids[tuple(cells.T)]
    shares = values[tuple(cells.T)]
    rows = {}
    for place, segment in zip(places, own, strict=True):
        near = (own == segment) & (np.linalg.norm(places - place, axis=1) <= radius)
        rows.setdefault(int(segment), []).append(shares[near].mean(axis=0))
    found = {segment: np.array(each) for segment, each in rows.items()}
    return {
        segment: (len(each), np.bincount(each.argmax(1), minlength=2).tolist(), each.mean(axis=0))
        for segment, each in sorted(found.items())
    }


@pytest.mark.parametrize("radius", [0, 70])
def test_segments_are_summed_as_by_hand(atlas, scene, radius):
    values, ids = scene

    table = summarise_segments(
        atlas, FixedMap(values, CLASSES), Segments(atlas, ids), radius_nm=radius
    )

    expected = by_hand(values, ids, radius)
    assert table.segments.tolist() == list(expected)
    for row, (locations, votes, means) in enumerate(expected.values()):
        assert (table.locations[row], table.votes[row].tolist()) == (locations, votes)
        np.testing.assert_allclose(table.means[row], means, atol=1e-5)


def test_given_places_are_summed_by_the_segments_they_came_with(given):
    share = np.random.default_rng(1).random(given.grid.size)
    values = np.stack([share, 1 - share], axis=-1)[None, None]
    points = given.places
    own, places = points.segments, given.positions_nm_xyz(np.arange(given.grid.size))

    table = summarise_segments(
        given, FixedMap(values, CLASSES), PlaceSegments(given), radius_nm=150
    )

    assert table.segments.tolist() == sorted(set(own.tolist()) - {0})
    for row, segment in enumerate(table.segments):
        mine = np.flatnonzero(own == segment)
        near = np.linalg.norm(places[mine][:, None] - places[mine], axis=2) <= 150
        means = near @ values[0, 0][mine] / near.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(table.means[row], means.mean(axis=0), atol=1e-5)


def test_of_as_many_votes_the_higher_mean_decides(atlas):
    ids = np.zeros(atlas.grid.shape, np.uint64)
    ids[5, 5, 5:7] = 7
    values = np.full((*atlas.grid.shape, 2), 0.5)
    values[5, 5, 5:7] = [[0.9, 0.1], [0.4, 0.6]]

    table = summarise_segments(atlas, FixedMap(values, CLASSES), Segments(atlas, ids))

    assert (table.votes.tolist(), table.elected) == ([[1, 1]], ["axon"])


def test_where_there_is_no_segment_the_table_is_empty(atlas):
    values = FixedMap(np.ones((*atlas.grid.shape, 2)), CLASSES)

    table = summarise_segments(atlas, values, Segments(atlas, np.zeros(atlas.grid.shape, int)))

    assert len(table.segments) == len(table.elected) == 0


@pytest.mark.parametrize("radius", [-1, np.nan, 5000])
def test_a_radius_that_makes_no_sense_is_refused(atlas, scene, radius):
    values, ids = scene

    with pytest.raises(ConfigError, match="radius"):
        summarise_segments(atlas, FixedMap(values, CLASSES), Segments(atlas, ids), radius_nm=radius)


def test_without_a_segmentation_that_is_said(atlas, scene):
    with pytest.raises(DataError, match="--segmentation"):
        summarise_segments(atlas, FixedMap(scene[0], CLASSES), PlaceSegments(atlas))
