"""Tests of embed/training/volumes.py: what a run is configured for, checked before it starts."""

import dataclasses

import numpy as np
import pytest

from embed.config import VolumeConfig
from embed.errors import DataError, MismatchError, OutOfBoundsError, VolumeError
from embed.geometry import Box
from embed.training.volumes import open_training_volumes
from tests import tubes


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


@pytest.fixture
def stored(write_volume, tmp_path):
    """A volume, and a way to name it together with labels that are stored beside it."""
    noise = np.random.default_rng(0).integers(1, 255, tubes.SHAPE).astype(np.uint8)
    write_volume(noise, name="grey.zarr")

    def config(labels, box=None, **grid):
        write_volume(labels, name="labels.zarr", **grid)
        return VolumeConfig(
            str(tmp_path / "grey.zarr"), segmentation=str(tmp_path / "labels.zarr"), box=box
        )

    return config


def test_a_segmentation_is_opened_beside_its_volume(tiny_run, stored):
    (source,) = open_training_volumes(on(tiny_run, stored(tubes.tubes())))

    np.testing.assert_array_equal(source.segmentation.read(source.box), tubes.tubes())


def test_a_segmentation_with_other_voxels_is_refused(tiny_run, stored):
    config = stored(tubes.tubes(), voxel_size_nm=(10.0, 10.0, 20.0))

    with pytest.raises(MismatchError, match=r"voxels of \(20, 10, 10\) nm .* on the grid of its"):
        open_training_volumes(on(tiny_run, config))


def test_a_segmentation_need_only_cover_what_is_trained_on(tiny_run, stored):
    part, inside = tubes.tubes()[:30], ((0, 96), (0, 48), (0, 30))

    open_training_volumes(on(tiny_run, stored(part, inside)))

    with pytest.raises(
        OutOfBoundsError, match=r"leaves the segmentation labels.*ZYX.*: name a box"
    ):
        open_training_volumes(on(tiny_run, stored(part)))


def test_a_segmentation_of_floats_is_refused(tiny_run, stored):
    with pytest.raises(VolumeError, match="holds float32; a segmentation holds integers"):
        open_training_volumes(on(tiny_run, stored(tubes.tubes(np.float32))))
