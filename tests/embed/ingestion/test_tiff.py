"""Tests of embed/ingestion/tiff.py, on real files: pages, sections, stated voxel sizes."""

import numpy as np
import pytest
import tifffile

from embed.errors import DataError, VolumeError
from embed.geometry import Box, Frame
from embed.ingestion import pyramid
from embed.ingestion.ingest import ingest
from embed.volume import open_volume
from tests.embed.ingestion.conftest import SIZE, VOXELS, leftovers


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"bigtiff": True},
        {"compression": "zlib", "rowsperstrip": 16},
        {"compression": "zlib", "tile": (32, 32)},
        {"compression": "zlib", "predictor": True},
    ],
)
def test_a_file_of_many_pages_becomes_a_volume_that_reads_the_same(tmp_path, out, how):
    tifffile.imwrite(tmp_path / "s.tif", VOXELS, photometric="minisblack", **how)

    report = ingest(str(tmp_path / "s.tif"), out, voxel_size_nm=SIZE)

    volume = open_volume(out)
    assert (volume.box, volume.frame) == (Box.of_shape(VOXELS.shape), Frame((40.0, 4.0, 4.0)))
    assert volume.description.format == "ome-zarr 0.5"
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS)
    assert report["voxel_size_nm"] == {"x": 4, "y": 4, "z": 40}
    assert not leftovers(out)


def test_pages_that_were_written_one_by_one_are_sections(tmp_path, out):
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        for section in VOXELS:
            file.write(section, compression="zlib")

    ingest(str(tmp_path / "s.tif"), out, voxel_size_nm=SIZE)

    volume = open_volume(out)
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS)


def test_pages_of_different_shapes_are_refused(tmp_path, out):
    with tifffile.TiffWriter(tmp_path / "s.tif") as file:
        file.write(VOXELS)
        file.write(VOXELS[0, :20, :20])

    with pytest.raises(VolumeError, match=r"different kinds, of shape \(20, 20\), \(5, 70, 90\)"):
        ingest(str(tmp_path / "s.tif"), out, voxel_size_nm=SIZE)


@pytest.mark.parametrize("dtype", [">u2", "<f4", "uint32"])
def test_any_byte_order_is_read(tmp_path, out, dtype):
    voxels = VOXELS.astype(dtype)
    tifffile.imwrite(tmp_path / "s.tif", voxels, byteorder=">" if dtype[0] == ">" else "<")

    ingest(str(tmp_path / "s.tif"), out, voxel_size_nm=SIZE)

    volume = open_volume(out)
    assert volume.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(volume.read(volume.box), voxels)


@pytest.mark.parametrize("as_pattern", [False, True])
def test_a_folder_of_sections_is_sorted_by_number(tmp_path, out, as_pattern):
    folder = tmp_path / "sections"
    folder.mkdir()
    for i, section in enumerate(VOXELS):
        tifffile.imwrite(folder / f"s{8 + i}.tif", section, compression="zlib")
    (folder / "notes.txt").write_text("8 before 10")

    ingest(str(folder / "s*.tif" if as_pattern else folder), out, voxel_size_nm=SIZE)

    volume = open_volume(out)
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS)
    assert volume.attributes["ingested_from"] == "sections"


def test_large_pages_are_read_in_bands_of_rows(tmp_path, out, monkeypatch):
    monkeypatch.setattr(pyramid, "CHUNK", (4, 16, 16))
    monkeypatch.setattr(pyramid, "_BLOCK_BYTES", 4 * 16 * 48)
    tifffile.imwrite(tmp_path / "s.tif", VOXELS, compression="zlib", tile=(32, 32))
    seen = []

    ingest(
        str(tmp_path / "s.tif"),
        out,
        voxel_size_nm=SIZE,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert seen == [(i + 1, 20) for i in range(20)]
    volume = open_volume(out)
    assert volume.chunk == (4, 16, 16)
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS)


def test_imagej_states_its_voxel_size_in_the_resolution_tags(tmp_path, out):
    tifffile.imwrite(
        tmp_path / "s.tif",
        VOXELS,
        imagej=True,
        resolution=(250, 200),
        metadata={"spacing": 0.04, "unit": "um", "axes": "ZYX"},
    )

    report = ingest(str(tmp_path / "s.tif"), out)

    assert open_volume(out).frame == Frame((40.0, 5.0, 4.0))
    assert report["voxel_size_stated_by"] == "ImageJ metadata"


def test_ome_tiff_states_its_voxel_size_with_units(tmp_path, out):
    said = {"PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 5}
    said |= {"PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 0.04}  # µm is the default
    tifffile.imwrite(tmp_path / "s.ome.tif", VOXELS, metadata={"axes": "ZYX", **said})

    ingest(str(tmp_path / "s.ome.tif"), out)

    assert open_volume(out).frame == Frame((40.0, 5.0, 4.0))


def test_an_incomplete_voxel_size_must_be_stated_and_a_stated_one_wins(tmp_path, out):
    tifffile.imwrite(
        tmp_path / "s.tif",
        VOXELS,
        imagej=True,
        resolution=(250, 250),
        metadata={"unit": "um", "axes": "ZYX"},
    )

    with pytest.raises(VolumeError, match=r"does not state the voxel size on z .*--voxel-size"):
        ingest(str(tmp_path / "s.tif"), out)

    assert not out.parent.exists()
    ingest(str(tmp_path / "s.tif"), out, voxel_size_nm=(6.0, 6.0, 30.0))
    assert open_volume(out).frame == Frame((30.0, 6.0, 6.0))


def test_print_resolutions_of_plain_tiff_are_not_believed(tmp_path, out):
    tifffile.imwrite(tmp_path / "s.tif", VOXELS, resolution=(72, 72), resolutionunit="inch")

    with pytest.raises(VolumeError, match="does not state the voxel size on x, y, z"):
        ingest(str(tmp_path / "s.tif"), out)


@pytest.mark.parametrize(
    ("voxels", "how", "words"),
    [
        (np.zeros((5, 8, 8), np.uint8), {"imagej": True}, "has the axes c: 5, y: 8, x: 8"),
        (np.zeros((8, 8, 3), np.uint8), {"photometric": "rgb"}, "s: 3; only sections of one"),
        (np.zeros((5, 8, 8), np.complex64), {}, "holds complex64; a volume holds integers"),
    ],
)
def test_colours_channels_and_odd_numbers_are_refused(tmp_path, out, voxels, how, words):
    tifffile.imwrite(tmp_path / "s.tif", voxels, **how)

    with pytest.raises(VolumeError, match=words):
        ingest(str(tmp_path / "s.tif"), out, voxel_size_nm=SIZE)


def test_sections_of_different_shapes_are_refused_and_nothing_is_left(tmp_path, out):
    folder = tmp_path / "sections"
    folder.mkdir()
    tifffile.imwrite(folder / "s1.tif", VOXELS[0])
    tifffile.imwrite(folder / "s2.tif", VOXELS[0, :60])

    with pytest.raises(DataError, match=r"s2.tif is \(60, 90\) .* but s1.tif is \(70, 90\)"):
        ingest(str(folder), out, voxel_size_nm=SIZE)

    assert not out.exists()
    assert not leftovers(out)
