"""Tests of embed/training_volumes.py: what a run is configured for, checked before it starts."""

import dataclasses

import numpy as np
import pytest

from embed.config import VolumeConfig
from embed.errors import DataError, MismatchError, OutOfBoundsError, VolumeError
from embed.geometry import Box
from embed.training_volumes import open_training_volumes


def on(config, *volumes):
    return dataclasses.replace(config, volumes=volumes)


def test_the_sample_stands_for_itself(tiny_run):
    (source,) = open_training_volumes(on(tiny_run, VolumeConfig("sample")))

    assert source.box == source.volume.box == Box((0, 0, 0), (120, 250, 250))
    assert source.volume.attributes["license"] == "CC BY 3.0"


def test_a_box_is_taken_in_the_order_people_write_it(tiny_run):
    config = VolumeConfig("sample", box=((1, 250), (2, 240), (3, 120)))

    (source,) = open_training_volumes(on(tiny_run, config))

    assert source.box == Box((3, 2, 1), (120, 240, 250))


def test_a_box_that_leaves_the_volume_is_refused(tiny_run):
    config = VolumeConfig("sample", box=((0, 250), (0, 250), (0, 121)))

    with pytest.raises(OutOfBoundsError, match="leaves fib25"):
        open_training_volumes(on(tiny_run, config))


def test_a_volume_of_another_voxel_size_is_refused(tiny_run, tissue, write_volume, tmp_path):
    write_volume(tissue, voxel_size_nm=(12.0, 10.0, 10.0))

    with pytest.raises((MismatchError, VolumeError), match="10 x 10 x 12"):
        open_training_volumes(on(tiny_run, VolumeConfig(str(tmp_path / "volume.zarr"))))


def test_a_constant_volume_is_refused(tiny_run, write_volume, tmp_path):
    write_volume(np.full((20, 20, 20), 9, np.uint8))

    with pytest.raises(DataError, match="is constant"):
        open_training_volumes(on(tiny_run, VolumeConfig(str(tmp_path / "volume.zarr"))))
