"""Tests of serve/mapping/counts.py."""

import dataclasses
import math

import numpy as np
import pytest

from embed.errors import ConfigError
from embed.geometry import Grid
from serve.mapping.counts import count_classes
from tests.serve.mapping.maps import FixedMap, likely

CELL_UM3 = 60 * 32 * 32 * 1e-9


@pytest.fixture(scope="module")
def wide(atlas):
    """What of an atlas is asked for here, with 40 x 60 x 60 locations."""
    grid = Grid((0, 0, 0), atlas.grid.fov, atlas.grid.stride, (40, 60, 60))

    class Wide:
        info, frame = atlas.info, atlas.frame
        name = "wide"

    Wide.grid = grid
    return Wide


def boxes_of_class_2(shape):
    """25 boxes of 2 x 3 x 3 cells in a class that is everywhere else, and a corner without data."""
    classes = np.ones(shape, int)
    for y in range(4, 60, 12):
        for x in range(4, 60, 12):
            classes[18:20, y : y + 3, x : x + 3] = 2
    classes[:10, :10, :10] = 0
    return classes


def test_volumes_and_objects_are_those_of_the_cells(wide):
    classes = boxes_of_class_2(wide.grid.shape)

    axon, mito = count_classes(wide, FixedMap(likely(classes, 2), ("axon", "mito")))

    data = 40 * 60 * 60 - 1000
    assert (mito.name, mito.locations, mito.objects) == ("mito", 25 * 18, 25)
    assert (axon.locations, axon.objects) == (data - 25 * 18, 1)
    assert mito.share.value == pytest.approx(25 * 18 / data)
    assert mito.volume_um3.value == pytest.approx(25 * 18 * CELL_UM3)
    assert mito.per_um3.value == pytest.approx(25 / (data * CELL_UM3))


def test_intervals_hold_the_value_and_are_wider_where_objects_gather(wide):
    even = np.ones(wide.grid.shape, int)
    even[::10, ::10, ::10] = 2
    gathered = np.ones(wide.grid.shape, int)
    gathered[:8, :12, :15][::2, ::2, ::5] = 2

    def width(classes):
        share = count_classes(wide, FixedMap(likely(classes, 2), ("axon", "mito")))[1].share
        assert share.low <= share.value <= share.high
        return (share.high - share.low) / share.value

    assert width(gathered) > 3 * width(even)


def test_small_objects_are_left_out_of_objects_and_stay_in_the_volume(wide):
    classes = boxes_of_class_2(wide.grid.shape)
    classes[30, 30, 30] = 2

    _, mito = count_classes(wide, FixedMap(likely(classes, 2), ("axon", "mito")), least=2)

    assert (mito.objects, mito.locations) == (25, 25 * 18 + 1)


def test_a_small_volume_has_no_intervals(wide):
    small = type("Small", (wide,), {"grid": dataclasses.replace(wide.grid, shape=(4, 6, 6))})

    (axon,) = count_classes(small, FixedMap(np.ones((4, 6, 6, 1)), ("axon",)))

    assert axon.share.value == 1
    assert math.isnan(axon.share.low)
    assert math.isnan(axon.per_um3.high)


def test_what_has_no_volume_or_no_sense_is_refused(wide, given):
    one = FixedMap(np.ones((40, 60, 60, 1)), ("axon",))

    with pytest.raises(ConfigError, match="of given places"):
        count_classes(given, one)
    with pytest.raises(ConfigError, match="at least 1 location"):
        count_classes(wide, one, least=0)


def test_classes_that_are_decided_alone_count_where_they_are_likelier_than_not(wide):
    values = np.full((*wide.grid.shape, 2), 0.2)
    values[0, 0, :10] = 0.6, 0.9
    values[5, 5, :3] = 0.7, 0.1
    values[39] = 0

    one, other = count_classes(wide, FixedMap(values, ("a", "b")), kind="multilabel")

    assert (one.locations, one.objects, other.locations) == (13, 2, 10)
    assert one.share.value == pytest.approx(13 / (39 * 60 * 60))
