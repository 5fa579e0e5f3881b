"""Tests of embed/reporting/places.py: fixed blocks that show tissue, and where their places lie."""

import dataclasses

import numpy as np
import pytest

from embed.errors import DataError
from embed.geometry import Box, zyx
from embed.normaliser import Normaliser, measure
from embed.reporting.places import take_places, watched_places
from embed.training.sampling import TrainingVolume

CELLS = (2, 2, 3)


@pytest.fixture
def source(tissue_volume):
    return TrainingVolume(tissue_volume, tissue_volume.box, measure(tissue_volume))


def test_the_field_of_view_of_a_place_is_where_its_centre_says(source, tiny):
    places = take_places(source, 0, source.box, tiny, CELLS, 40, seed=0)

    assert places.blocks.shape == (4, *tiny.voxels(CELLS))  # 12 places each
    assert len(places) == 48
    for place in (0, 1, 13, 47):
        start = zyx((places.centres[place] - np.array(tiny.fov) / 2).astype(int))
        seen = source.normaliser(source.volume.read(Box.of_shape(tiny.fov, start)))
        cell = zyx(np.array(np.unravel_index(place % 12, CELLS)) * tiny.stride)
        block = places.blocks[places.parts[place]]
        np.testing.assert_array_equal(block[Box.of_shape(tiny.fov, cell).slices], seen)


def test_places_are_the_same_every_time_and_none_is_taken_twice(source, tiny):
    first, second = (take_places(source, 0, source.box, tiny, CELLS, 500, seed=0) for _ in "ab")

    np.testing.assert_array_equal(first.centres, second.centres)
    assert len(np.unique(first.centres, axis=0)) == len(first)


def test_places_stay_in_the_box(source, tiny):
    box = Box((3, 10, 20), (30, 31, 45))

    places = take_places(source, 0, box, tiny, CELLS, 10_000, seed=0)

    half = np.array(tiny.fov) / 2
    assert (places.centres - half >= box.start).all()
    assert (places.centres + half <= box.stop).all()


def test_empty_blocks_are_passed_over(tissue, write_volume, tiny):
    holed = tissue.copy()
    holed[:, :, 28:] = 0
    volume = write_volume(holed)
    source = TrainingVolume(volume, volume.box, measure(volume))

    places = take_places(source, 0, source.box, tiny, CELLS, 400, seed=0)

    assert places.blocks.std(axis=(1, 2, 3)).min() > 0.05


def test_an_empty_volume_is_refused_with_what_to_do(write_volume, tiny):
    volume = write_volume(np.zeros((40, 48, 56), np.uint8))
    source = TrainingVolume(volume, volume.box, Normaliser(0.0, 1.0))

    with pytest.raises(DataError, match=r"blocks spread over .* had no contrast; .* holds tissue"):
        take_places(source, 0, source.box, tiny, CELLS, 24, seed=0)


def test_several_volumes_have_equal_shares_and_their_blocks_own_numbers(source, tiny):
    half = dataclasses.replace(source, box=Box((0, 0, 0), (40, 24, 56)))

    places = watched_places([source, half], tiny, CELLS, 240)

    assert np.bincount(places.volumes).tolist() == [120, 120]
    np.testing.assert_array_equal(places.parts, np.repeat(np.arange(20), 12))
    assert len(places.blocks) == 20


@pytest.fixture
def segmented(source, write_volume):
    """The tissue with two segments and, in the last third along x, none."""
    ids = np.zeros(source.volume.box.shape, np.uint16)
    ids[:, :24, :38], ids[:, 24:, :38] = 3, 900
    return dataclasses.replace(source, segmentation=write_volume(ids, name="ids.zarr"))


def test_blocks_of_a_volume_with_segments_show_the_one_in_their_middle(segmented, tiny):
    places = take_places(segmented, 0, segmented.box, tiny, (1, 1, 1), 150, seed=0)

    ids = segmented.segmentation.read(segmented.segmentation.box)
    starts = (places.centres - np.array(tiny.fov) / 2).astype(int)
    middles = ids[tuple(np.floor(places.centres).astype(int).T)]
    assert set(middles.tolist()) == {3, 900}
    for start, middle, block in zip(starts, middles, places.blocks, strict=True):
        seen = Box.of_shape(tiny.fov, zyx(start))
        grey = segmented.normaliser(segmented.volume.read(seen))
        np.testing.assert_array_equal(block, np.where(ids[seen.slices] == middle, grey, 0))


def test_segments_that_are_nowhere_are_said_to_be(source, write_volume, tiny):
    ids = write_volume(np.zeros(source.volume.box.shape, np.uint8), name="none.zarr")
    nowhere = dataclasses.replace(source, segmentation=ids)

    with pytest.raises(DataError, match="or no segment in their middle"):
        take_places(nowhere, 0, nowhere.box, tiny, (1, 1, 1), 20, seed=0)
