"""Tests of embed/volume.py: axes, voxel sizes and levels of what is opened."""

import json

import numpy as np
import pytest

from embed.errors import ConfigError, VolumeError
from embed.geometry import Box, Frame
from embed.volume import VolumeSource, open_volume, open_volume_source
from tests.embed.stored_volumes import VOXELS, make_array, make_precomputed


@pytest.mark.parametrize("axes", ["zyx", "xyz", "yzx"])
def test_voxels_come_out_as_zyx_whatever_the_order_in_the_store(tmp_path, axes):
    stored = VOXELS.transpose(["zyx".index(axis) for axis in axes])

    volume = open_volume(make_array(tmp_path / "x.zarr", stored, axes))

    assert volume.box == Box.of_shape((4, 6, 8))
    assert volume.frame == Frame((40.0, 4.0, 4.0))
    assert volume.chunk == (2, 2, 2)
    assert (volume.name, volume.dtype) == ("x", np.uint16)
    assert volume.attributes["license"] == "CC0"
    box = Box((1, 2, 3), (3, 6, 8))
    np.testing.assert_array_equal(volume.read(box), VOXELS[box.slices])


def test_the_offset_of_precomputed_is_kept_and_may_be_negative(tmp_path):
    volume = open_volume(f"precomputed://file://{make_precomputed(tmp_path)}")

    assert volume.box == Box((7, 5, -3), (11, 11, 5))
    assert volume.chunk == (3, 2, 4)
    np.testing.assert_array_equal(volume.read(Box((8, 6, -2), (10, 9, 2))), VOXELS[1:3, 1:4, 1:5])
    assert volume.frame.to_nm_xyz(np.array([7.0, 5.0, -3.0])).tolist() == [-12, 20, 280]


def test_single_entries_of_other_axes_are_dropped(tmp_path):
    stored = VOXELS.transpose()[None, :, :, :, None]

    volume = open_volume(make_array(tmp_path, stored, "txyzc"))

    np.testing.assert_array_equal(volume.read(volume.box), VOXELS)


def test_of_several_channels_one_must_be_chosen(tmp_path):
    place = make_precomputed(tmp_path, channels=3)
    with pytest.raises(VolumeError, match="3 entries along 'c'; choose one with --channel 0 to 2"):
        open_volume(place)
    with pytest.raises(VolumeError, match="no channel 3; it has 0 to 2"):
        open_volume(place, channel=3)

    volume = open_volume(place, channel=2)

    np.testing.assert_array_equal(volume.read(volume.box), VOXELS + 2)
    np.testing.assert_array_equal(
        open_volume_source(volume.source).read(volume.box), volume.read(volume.box)
    )


def test_two_long_axes_besides_z_y_x_are_refused(tmp_path):
    make_array(tmp_path, np.zeros((2, 3, 4, 4, 4), np.uint8), "tczyx")

    with pytest.raises(VolumeError, match="2 along t, 3 along c: more than one axis"):
        open_volume(tmp_path, channel=0)


def test_a_section_gets_a_z_axis_once_its_full_voxel_size_is_stated(tmp_path):
    make_array(tmp_path, VOXELS[0], "yx")
    with pytest.raises(VolumeError, match="a single section of shape"):
        open_volume(tmp_path)

    volume = open_volume(tmp_path, voxel_size_nm=(4.0, 4.0, 40.0))

    assert (volume.box, volume.chunk) == (Box.of_shape((1, 6, 8)), (1, 2, 2))
    np.testing.assert_array_equal(volume.read(volume.box)[0], VOXELS[0])


@pytest.mark.parametrize(
    ("names", "stated", "words"),
    [
        (["a", "b", "c"], None, "does not name its axes z, y, x (a, b, c); state them with --axes"),
        (["z", None, "x"], None, "does not name its axes z, y, x (z, ?, x)"),
        (["z", "y", "x"], "xyz", "names its axes z, y, x; leave out --axes xyz"),
        (["a", "b", "c"], "zy", "one letter per dimension, all different; got 'zy'"),
        (["a", "b", "c"], "zyy", "one letter per dimension, all different; got 'zyy'"),
        (["a", "b", "c"], "zyq", "axes out of z, y, x, c, t with y and x; got 'zyq'"),
    ],
)
def test_axes_are_never_guessed_and_never_contradicted(tmp_path, names, stated, words):
    make_array(tmp_path, dimension_names=names)

    with pytest.raises(VolumeError) as error:
        open_volume(tmp_path, axes=stated)

    assert words in str(error.value)


def test_a_missing_voxel_size_is_never_guessed(tmp_path):
    make_array(tmp_path, units={"y": "4 nm"})

    with pytest.raises(VolumeError, match="does not state the voxel size on x, z; state it with"):
        open_volume(tmp_path)

    assert open_volume(tmp_path, voxel_size_nm=(5.0, 4.0, 40.0)).frame == Frame((40.0, 4.0, 5.0))


@pytest.mark.parametrize("size", [(0.0, 1.0, 1.0), (1.0, -4.0, 1.0), (float("nan"), 1.0, 1.0)])
def test_a_voxel_size_is_three_positive_lengths(tmp_path, size):
    with pytest.raises(ConfigError, match="three positive lengths X,Y,Z in nm"):
        open_volume(make_array(tmp_path), voxel_size_nm=size)


def test_complex_numbers_are_refused(tmp_path):
    make_array(tmp_path, VOXELS.astype(np.complex64))

    with pytest.raises(VolumeError, match="holds complex64; a volume holds integers"):
        open_volume(tmp_path)


def test_an_empty_array_is_refused(tmp_path):
    make_array(tmp_path, VOXELS[:0])

    with pytest.raises(VolumeError, match=r"is empty: its shape is \(0, 6, 8\)"):
        open_volume(tmp_path)


@pytest.mark.parametrize(
    ("asked", "level"),
    [
        ({}, 0),
        ({"level": 2}, 2),
        ({"at_voxel_size_nm": (40.0, 4.0, 4.0)}, 0),
        ({"at_voxel_size_nm": (30.0, 7.0, 7.0)}, 1),
        ({"at_voxel_size_nm": (60.0, 24.0, 24.0)}, 2),
        ({"at_voxel_size_nm": (40.0, 8.0, 8.0), "level": 1}, 1),
    ],
)
def test_a_level_is_chosen_by_index_or_by_the_nearest_voxel_size(tmp_path, asked, level):
    volume = open_volume(make_precomputed(tmp_path), **asked)

    assert volume.source.level == level
    assert volume.frame.voxel_size_nm == (40, 4 * 2**level, 4 * 2**level)
    assert volume.box.shape[2] == 8 // 2**level


@pytest.mark.parametrize(
    "asked",
    [
        {"level": 3},
        {"level": -1},
        {"at_voxel_size_nm": (40.0, 32.0, 32.0)},
        {"at_voxel_size_nm": (20.0, 4.0, 4.0)},
        {"at_voxel_size_nm": (40.0, 8.0, 8.0), "level": 0},
    ],
)
def test_a_level_that_is_not_there_is_refused_and_those_that_are_are_listed(tmp_path, asked):
    make_precomputed(tmp_path)

    with pytest.raises(VolumeError) as error:
        open_volume(tmp_path, **asked)

    assert (
        "it has level 0 (4 x 4 x 40 nm (XYZ)); level 1 (8 x 8 x 40 nm (XYZ)); "
        "level 2 (16 x 16 x 40 nm (XYZ))" in str(error.value)
    )


def test_a_stated_voxel_size_is_that_of_the_finest_level_and_the_others_follow(tmp_path):
    make_precomputed(tmp_path)
    stated = {"voxel_size_nm": (5.0, 5.0, 50.0)}

    finest = open_volume(tmp_path, **stated)
    coarser = open_volume(tmp_path, **stated, at_voxel_size_nm=(50.0, 10.0, 10.0))
    by_index = open_volume(tmp_path, **stated, level=1)

    assert finest.frame.voxel_size_nm == (50, 5, 5)
    assert (coarser.source.level, coarser.frame.voxel_size_nm) == (1, (50, 10, 10))
    assert coarser.source.voxel_size_nm == (10, 10, 50)
    assert by_index.frame.voxel_size_nm == (50, 5, 5)
    for volume in (finest, coarser, by_index):
        assert open_volume_source(volume.source).frame == volume.frame


def test_without_known_sizes_a_wished_voxel_size_is_compared_with_the_stated_one(tmp_path):
    make_array(tmp_path, units={})
    stated = {"voxel_size_nm": (4.0, 4.0, 40.0)}

    assert open_volume(tmp_path, **stated, at_voxel_size_nm=(40.0, 5.0, 5.0)).source.level == 0
    with pytest.raises(VolumeError, match=r"of 8 x 8 x 40 nm \(XYZ\) on every axis"):
        open_volume(tmp_path, **stated, at_voxel_size_nm=(40.0, 8.0, 8.0))


def test_the_voxel_size_of_a_volume_descriptor_counts_as_stated(tmp_path):
    make_array(tmp_path, units={})
    spec = {"driver": "zarr3", "kvstore": f"file://{tmp_path}/"}
    descriptor = {"tensorstore_config": {"spec": spec, "metadata": {"voxel_size": [4, 4, 33]}}}

    volume = open_volume(descriptor)

    assert volume.frame.voxel_size_nm == (33, 4, 4)
    assert open_volume_source(volume.source).frame == volume.frame


def test_a_source_survives_json_and_opens_the_same_voxels_from_another_folder(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    make_array(tmp_path / "x.zarr", VOXELS.transpose(), dimension_names=["i", "j", "k"])
    volume = open_volume("x.zarr", axes="xyz", voxel_size_nm=(4.0, 4.0, 40.0))
    monkeypatch.chdir("/")

    source = VolumeSource.from_json(json.loads(json.dumps(volume.source.to_json())))
    again = open_volume_source(source)

    assert source == volume.source
    assert (again.box, again.frame) == (volume.box, volume.frame)
    np.testing.assert_array_equal(again.read(again.box), VOXELS)
