"""Tests of serve/layers/volume_layer.py."""

import numpy as np
import pytest
import tensorstore as ts

from embed.errors import VolumeError
from embed.geometry import Box
from embed.ingestion.pyramid import create_level, downsample, plan, write_group
from embed.volume import open_volume
from serve.layers.precomputed import Placement
from serve.layers.volume_layer import VolumeLayer
from serve.thumbnails import Greys


def precomputed(path, voxels, offset_xyz=(0, 0, 0), kind="image"):
    """A precomputed volume of one level, of voxels of 8 x 8 x 30 nm."""
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "multiscale_metadata": {"type": kind, "data_type": voxels.dtype.name, "num_channels": 1},
        "scale_metadata": {
            "size": voxels.shape[::-1],
            "voxel_offset": offset_xyz,
            "resolution": [8, 8, 30],
            "chunk_size": [32, 32, 32],
            "encoding": "raw",
        },
    }
    ts.open(spec, create=True).result()[..., 0].write(voxels.T).result()
    return open_volume(path)


def whole(layer, level=0):
    return layer.read(level, Box((0, 0, 0), layer.scales[level].shape))


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    """An OME-Zarr of two levels, the coarser of which is the coarsest there is."""
    path = tmp_path_factory.mktemp("pyramid") / "p.zarr"
    voxels = np.random.default_rng(0).integers(0, 255, (40, 150, 160)).astype(np.uint8)
    planned = plan(voxels.shape, (30.0, 8.0, 8.0), 2)
    write_group(path, planned, {}, "mean")
    fine, coarse = (create_level(path, level, voxels.dtype) for level in planned)
    fine.write(voxels).result()
    downsample(fine, coarse, planned[1].factor, "mean", Box((0, 0, 0), planned[1].shape))
    return open_volume(path, level=1)


def test_all_levels_that_are_stored_are_shown_and_coarser_ones_made(pyramid):
    layer = VolumeLayer(pyramid, "1", Greys(0, 255))

    assert [scale.shape for scale in layer.scales] == [(40, 150, 160), (40, 75, 80), (40, 38, 40)]
    assert layer.scales[0].frame.voxel_size_nm == (30, 8, 8)
    np.testing.assert_array_equal(whole(layer, 1), pyramid.read(pyramid.box))
    mean = whole(layer, 1)[:, :74].reshape(40, 37, 2, 40, 2).mean(axis=(2, 4))
    assert np.abs(whole(layer, 2)[:, :37] - mean).max() <= 0.5


def test_where_a_volume_begins_is_kept(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 255, (5, 6, 7)).astype(np.uint8)
    volume = precomputed(tmp_path / "v", voxels, offset_xyz=(100, -20, 3))

    layer = VolumeLayer(volume, "1", Greys(0, 255))

    placed = Placement.of(layer.scales)
    assert (placed.offsets, placed.shift_nm) == (((3, -20, 100),), (0, 0, 0))
    np.testing.assert_array_equal(whole(layer), voxels)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_what_is_not_of_8_bits_is_shown_between_black_and_white(tmp_path, dtype):
    voxels = np.array([[[0, 1000, 1500, 2000, 3000]]], dtype)

    layer = VolumeLayer(precomputed(tmp_path / "v", voxels), "1", Greys(1000, 2000))

    assert layer.dtype == np.uint8
    assert whole(layer).ravel().tolist() == [0, 0, 127, 255, 255]


def test_no_number_is_black(tmp_path):
    voxels = np.array([[[np.nan, 1.0]]], np.float32)

    layer = VolumeLayer(precomputed(tmp_path / "v", voxels), "1", Greys(0, 1))

    assert whole(layer).ravel().tolist() == [0, 255]


def test_segments_keep_their_ids_at_every_level(tmp_path):
    ids = np.zeros((4, 70, 80), np.uint64)
    ids[:, 10:60, 10:70] = 2**63 + 11

    volume = precomputed(tmp_path / "v", ids, kind="segmentation")
    layer = VolumeLayer(volume, "1")

    assert (layer.kind, layer.dtype) == ("segmentation", np.uint64)
    np.testing.assert_array_equal(whole(layer), ids)
    np.testing.assert_array_equal(whole(layer, 1), ids[:, ::2, ::2])


def test_what_is_no_segmentation_is_refused(tmp_path):
    volume = precomputed(tmp_path / "v", np.ones((2, 2, 2), np.float32))

    with pytest.raises(VolumeError, match="whole numbers"):
        VolumeLayer(volume, "1")
