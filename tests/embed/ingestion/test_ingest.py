"""Tests of embed/ingestion/ingest.py and pyramid.py: what is made, and what failures leave."""

import json
import resource
import sys

import h5py
import numpy as np
import pytest
import tifffile

from embed.errors import ConfigError, DataError, MissingExtraError, StorageError, VolumeError
from embed.geometry import Box
from embed.ingestion import pyramid
from embed.ingestion.ingest import ingest
from embed.volume import open_volume
from tests.embed.ingestion.conftest import SIZE, VOXELS, leftovers


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 70, 90), (300, 3_000, 30_000), (10, 7, 10**7)])
@pytest.mark.parametrize("bytes_per_voxel", [1, 64])
def test_blocks_are_whole_chunks_cover_everything_once_and_fit_in_memory(shape, bytes_per_voxel):
    boxes = list(pyramid.blocks(shape, bytes_per_voxel))

    assert sum(box.size for box in boxes) == np.prod(shape)
    assert all(a % c == 0 for box in boxes for a, c in zip(box.start, pyramid.CHUNK, strict=True))
    assert max(box.size for box in boxes) * bytes_per_voxel <= 256 * 2**20


def test_levels_are_means_and_halve_z_only_once_its_voxels_are_the_short_ones(tmp_path, out):
    voxels = VOXELS[:4, :64, :64]
    tifffile.imwrite(tmp_path / "a.tif", voxels, photometric="minisblack")

    ingest(str(tmp_path / "a.tif"), out, voxel_size_nm=(10.0, 10.0, 30.0), levels=4)

    levels = open_volume(out).description.levels
    assert [level.voxel_size_nm for level in levels] == [
        (30, 10, 10),
        (30, 20, 20),
        (30, 40, 40),
        (60, 80, 80),
    ]
    assert [level.origin_nm for level in levels] == [(0, 0, 0)] * 4
    second = open_volume(out, level=1)
    means = voxels.reshape(4, 32, 2, 32, 2).mean(axis=(2, 4))
    assert np.abs(second.read(second.box) - means).max() <= 0.5


def test_levels_of_a_segmentation_hold_the_most_frequent_label(tmp_path, out):
    body = 2**60 + 1  # no float holds it
    labels = np.zeros((2, 3, 4), np.uint64)
    labels[:, :2, :2] = body
    labels[0, :2, 2:] = 9
    labels[1, 0, 2] = 9
    labels[:, 2, 1:] = 7  # the last row of blocks has one row of voxels
    labels[1, 2, 1] = body
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["labels"] = labels
    size = (8.0, 8.0, 8.0)

    ingest(str(tmp_path / "s.h5"), out, voxel_size_nm=size, segmentation=True, levels=2)

    coarse = open_volume(out, level=1)
    assert coarse.read(coarse.box).tolist() == [[[body, 9], [0, 7]]]


@pytest.mark.parametrize("levels", [0, 17])
def test_the_number_of_levels_has_bounds(tmp_path, out, levels):
    with pytest.raises(ConfigError, match="1 to 16 levels"):
        ingest(str(tmp_path), out, voxel_size_nm=SIZE, levels=levels)


def test_the_group_says_what_ome_zarr_0_5_asks_for(tmp_path, out):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)

    ingest(str(tmp_path / "a.tif"), out, voxel_size_nm=SIZE)

    group = json.loads((out / "zarr.json").read_text())
    array = json.loads((out / "0" / "zarr.json").read_text())
    assert group["attributes"]["ome"]["version"] == "0.5"
    (image,) = group["attributes"]["ome"]["multiscales"]
    assert image["axes"] == [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
    assert image["datasets"] == [
        {
            "path": "0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [40, 4, 4]},
                {"type": "translation", "translation": [20, 2, 2]},
            ],
        }
    ]
    assert array["dimension_names"] == ["z", "y", "x"]
    assert open_volume(out / "0").frame == open_volume(out).frame


@pytest.mark.parametrize("source", ["nothing.tif", "*.tif", "notes.txt", "fake.tif", "fake.h5"])
def test_what_is_no_stack_is_refused_and_nothing_is_made(tmp_path, out, source):
    for name in ("notes.txt", "fake.tif" if source == "fake.tif" else "x", "fake.h5"):
        (tmp_path / name).write_text("no image")

    with pytest.raises(VolumeError):
        ingest(str(tmp_path / source), out, voxel_size_nm=SIZE)

    assert not out.parent.exists()


def test_a_truncated_file_is_refused_and_nothing_is_left(tmp_path, out):
    for name, how in (("plain.tif", {}), ("zlib.tif", {"compression": "zlib"})):
        tifffile.imwrite(tmp_path / name, VOXELS, **how)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 3])

        with pytest.raises((DataError, VolumeError), match=name):
            ingest(str(tmp_path / name), out, voxel_size_nm=SIZE)

        assert not out.exists()


def test_what_is_at_the_place_stays_unless_it_is_a_zarr_to_be_overwritten(tmp_path, out):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)
    tifffile.imwrite(tmp_path / "b.tif", VOXELS[:, :50, ::-1])
    ingest(str(tmp_path / "a.tif"), out, voxel_size_nm=SIZE, levels=2)
    pictures = tmp_path / "pictures"
    pictures.mkdir()

    with pytest.raises(ConfigError, match="exists; choose another --out, or replace it with --ov"):
        ingest(str(tmp_path / "b.tif"), out, voxel_size_nm=SIZE)
    with pytest.raises(ConfigError, match="is not a zarr, so it is not overwritten"):
        ingest(str(tmp_path / "b.tif"), pictures, voxel_size_nm=SIZE, overwrite=True)
    ingest(str(tmp_path / "b.tif"), out, voxel_size_nm=SIZE, overwrite=True)

    volume = open_volume(out)
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS[:, :50, ::-1])
    assert len(volume.description.levels) == 1
    assert not leftovers(out)


def test_a_disk_that_refuses_leaves_the_old_volume_and_nothing_else(tmp_path, out):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)
    ingest(str(tmp_path / "a.tif"), out, voxel_size_nm=SIZE)
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*larger than the system allows"):
            ingest(str(tmp_path / "a.tif"), out, voxel_size_nm=SIZE, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))

    np.testing.assert_array_equal(open_volume(out).read(Box.of_shape(VOXELS.shape)), VOXELS)
    assert not leftovers(out)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)

    with pytest.raises(StorageError, match="cannot write"):
        ingest(str(tmp_path / "a.tif"), tmp_path / "a.tif" / "x.zarr", voxel_size_nm=SIZE)


def test_what_a_killed_run_left_behind_is_cleared_away(tmp_path, out):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)
    partial = out.with_name("stack.zarr.partial")
    (partial / "0" / "c").mkdir(parents=True)
    (partial / "0" / "zarr.json").write_text("half")

    ingest(str(tmp_path / "a.tif"), out, voxel_size_nm=SIZE)

    np.testing.assert_array_equal(open_volume(out).read(Box.of_shape(VOXELS.shape)), VOXELS)
    assert not leftovers(out)


def test_an_interrupted_run_leaves_nothing(tmp_path, out):
    tifffile.imwrite(tmp_path / "a.tif", VOXELS)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(str(tmp_path / "a.tif"), out, voxel_size_nm=SIZE, progress=interrupt)

    assert not out.exists()
    assert not leftovers(out)


@pytest.mark.parametrize(("module", "name"), [("tifffile", "s.tif"), ("h5py", "s.h5")])
def test_a_missing_library_is_named_with_how_to_install_it(
    tmp_path, out, monkeypatch, module, name
):
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(MissingExtraError, match=r"pip install 'voxkin\[ingest\]'"):
        ingest(str(tmp_path / name), out, voxel_size_nm=SIZE)
