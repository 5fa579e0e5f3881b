"""Tests of serve/layers/map_layer.py and pyramid.py."""

import numpy as np
import pytest

from embed.errors import RequestError
from embed.geometry import Box
from serve.layers.map_layer import MapLayer
from tests.atlases import make_atlas


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """An atlas of 2 x 3 x 300 locations, whose first number is the place along x."""
    vectors = np.zeros((2, 3, 300, 4), np.float32)
    vectors[..., 0] = np.linspace(-0.7, 0.7, 300)
    vectors[..., 1] = np.sqrt(1 - vectors[..., 0] ** 2)
    vectors[:, :, 7] = 0
    return make_atlas(tmp_path_factory.mktemp("long") / "a", vectors=vectors)


@pytest.fixture(scope="module")
def layer(long):
    return MapLayer(long, lambda v: np.rint(100 + 100 * v[:, 0]), dtype=np.uint8, version="1")


def whole(layer, level):
    return layer.read(level, Box((0, 0, 0), layer.scales[level].shape))


def test_levels_end_once_what_is_seen_is_small(layer):
    assert [scale.shape[2] for scale in layer.scales] == [300, 150, 75, 38]
    assert [scale.frame.voxel_size_nm[2] for scale in layer.scales] == [32, 64, 128, 256]
    assert len({scale.frame.origin_nm for scale in layer.scales}) == 1


def test_a_coarser_voxel_shows_the_location_in_its_middle(layer):
    finest = whole(layer, 0)

    for level, scale in enumerate(layer.scales[1:], 1):
        step = 2**level
        middles = np.minimum(np.arange(scale.shape[2]) * step + step // 2, 299)
        np.testing.assert_array_equal(whole(layer, level)[0, 0], finest[0, 0, middles])


def test_a_part_is_the_same_as_of_the_whole(layer):
    box = Box((0, 1, 16), (1, 2, 32))

    for level in (0, 1):
        np.testing.assert_array_equal(layer.read(level, box), whole(layer, level)[box.slices])


def test_where_there_are_no_data_it_is_0(layer):
    assert not whole(layer, 0)[:, :, 7].any()
    assert np.count_nonzero(whole(layer, 0)) == 2 * 3 * 299


def test_given_places_make_no_map(given):
    with pytest.raises(RequestError, match="of given places"):
        MapLayer(given, lambda v: v[:, 0], dtype=np.uint8, version="1")
