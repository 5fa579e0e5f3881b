"""Every array in the shared fixtures, of other software: read right, or refused with why."""

from pathlib import Path

import numpy as np
import pytest

from embed.errors import DataError, VolumeError
from embed.formats.metadata import describe
from embed.geometry import Box
from embed.volume import open_volume
from tests.embed.formats.fixture_arrays import (
    MULTISCALE,
    NAMED,
    NG,
    OME,
    OME_06,
    REFUSED,
    TRANSFORMED,
    UNNAMED,
    V2,
)

UM = 1000.0


def test_no_array_among_the_fixtures_is_left_out(shared):
    names = ("zarr.json", ".zarray", ".zattrs", "attributes.json", "info")
    found = {f.parent for name in names for f in (shared / "fixtures").rglob(name)}

    told = {*MULTISCALE, *TRANSFORMED, *UNNAMED, *NAMED, *REFUSED}

    assert {str(p.relative_to(shared / "fixtures")) for p in found} <= told


@pytest.mark.parametrize("path", [*MULTISCALE, *NAMED])
def test_format_axes_shape_and_voxel_size_are_read(shared, path):
    description = describe(shared / "fixtures" / path)

    found = (
        description.format,
        description.axes,
        description.shape,
        description.dtype,
        description.voxel_size_nm,
    )
    assert found == {**MULTISCALE, **NAMED}[path]


@pytest.mark.parametrize("path", UNNAMED)
def test_unnamed_axes_and_unknown_sizes_are_left_open(shared, path):
    description = describe(shared / "fixtures" / path)

    assert (description.format, description.shape, description.dtype) == UNNAMED[path]
    assert set(description.axes) == set(description.voxel_size_nm) == {None}


@pytest.mark.parametrize("path", TRANSFORMED)
def test_axis_aligned_transformations_of_ome_zarr_are_honoured(shared, path):
    description = describe(shared / "fixtures" / path)

    axes, size, origin = TRANSFORMED[path]
    assert (description.format, description.shape) == ("ome-zarr 0.6", (27, 226, 186))
    assert description.axes == axes
    np.testing.assert_allclose(description.voxel_size_nm, np.array(size) * UM)
    np.testing.assert_allclose(description.levels[0].origin_nm, np.array(origin) * UM)


@pytest.mark.parametrize("path", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_reason(shared, path):
    with pytest.raises(VolumeError) as error:
        describe(shared / "fixtures" / path)

    assert REFUSED[path] in str(error.value)


@pytest.mark.parametrize(
    ("path", "levels"),
    [
        (f"{NG}/precomputed/one_channel", [(3, 4, 5, None), (6, 8, 10, None), (12, 16, 20, None)]),
        (f"{NG}/n5/n5_viewer_multiscale_modern", [(10, None), (20, None), (40, None)]),
        (f"{NG}/n5/n5_viewer_multiscale_deprecated", [(10, None), (20, None), (40, None)]),
        (f"{OME}/simple_0.4", [(4, 30), (8, 60), (16, 120)]),
        (f"{OME}/simple_0.5", [(4, 30), (8, 60), (16, 120)]),
    ],
)
def test_every_level_has_its_voxel_size(shared, path, levels):
    description = describe(shared / "fixtures" / path)

    assert [level.voxel_size_nm for level in description.levels] == levels


@pytest.mark.parametrize("path", [p for p, (_, s, _) in UNNAMED.items() if len(s) == 3])
def test_a_volume_without_names_opens_once_axes_and_voxel_size_are_stated(shared, path):
    with pytest.raises(VolumeError, match="--axes"):
        open_volume(shared / "fixtures" / path)
    with pytest.raises(VolumeError, match=r"voxel size on x, y, z.*--voxel-size"):
        open_volume(shared / "fixtures" / path, axes="zyx")

    volume = open_volume(shared / "fixtures" / path, axes="zyx", voxel_size_nm=(4.0, 5.0, 40.0))

    assert volume.box == Box.of_shape(UNNAMED[path][1])
    assert volume.frame.voxel_size_nm == (40.0, 5.0, 4.0)


@pytest.mark.parametrize("path", [p for p in UNNAMED if "/3d." in p])
def test_voxels_come_out_in_z_y_x_order_whatever_the_codec_and_memory_order(shared, path):
    size = (4.0, 5.0, 40.0)
    shape = UNNAMED[path][1]

    zyx = open_volume(shared / "fixtures" / path, axes="zyx", voxel_size_nm=size)
    xyz = open_volume(shared / "fixtures" / path, axes="xyz", voxel_size_nm=size)

    np.testing.assert_array_equal(zyx.read(zyx.box), np.arange(np.prod(shape)).reshape(shape))
    np.testing.assert_array_equal(xyz.read(xyz.box), zyx.read(zyx.box).transpose())


SECTIONS = {path: None for path in (*MULTISCALE, *NAMED) if "precomputed" not in path}
SECTIONS |= {path: "xy" for path, (_, shape, _) in UNNAMED.items() if len(shape) == 2}


@pytest.mark.parametrize("path", SECTIONS)
def test_a_section_opens_as_a_volume_only_once_its_full_voxel_size_is_stated(shared, path):
    place, axes = shared / "fixtures" / path, SECTIONS[path]
    with pytest.raises(VolumeError, match=r"single section.*--voxel-size X,Y,Z"):
        open_volume(place, axes=axes)

    volume = open_volume(place, axes=axes, voxel_size_nm=(4.0, 5.0, 40.0))

    description = volume.description
    named = dict(zip(axes or description.axes, description.shape, strict=True))
    assert volume.box == Box((0, 0, 0), (1, named["y"], named["x"]))
    assert volume.frame.voxel_size_nm == (40.0, 5.0, 4.0)
    assert volume.read(volume.box).shape == volume.box.shape


def test_the_codecs_of_n5_give_the_same_voxels(shared):
    def read(codec: str) -> np.ndarray:
        place = shared / "fixtures" / "n5" / codec
        volume = open_volume(place, axes="xy", voxel_size_nm=(1.0, 1.0, 1.0))
        return volume.read(volume.box)

    raw = read("raw")

    np.testing.assert_array_equal(raw[0].ravel(), np.arange(20).reshape(5, 4).T.ravel())
    for codec in ("blosc", "bzip2", "gzip", "xz"):
        np.testing.assert_array_equal(read(codec), raw)


def test_seconds_are_no_length_and_the_refusal_says_so(shared):
    with pytest.raises(VolumeError, match="axis 'y' is measured in 's', which is no length"):
        open_volume(shared / "fixtures" / NG / "n5" / "n5_viewer_multiscale_modern")


def test_one_dimension_is_no_volume(shared):
    with pytest.raises(VolumeError, match="one dimension; a volume has z, y and x"):
        open_volume(shared / "fixtures" / V2 / "1d.chunked.i2", axes="x")


def test_a_chunk_that_is_a_dangling_link_is_reported_with_the_box_and_the_volume(shared):
    volume = open_volume(shared / "fixtures" / OME_06 / "basic" / "scale.zarr")

    with pytest.raises(DataError) as error:
        volume.read(Box((1, 2, 3), (4, 5, 6)))

    assert "cannot read Box(start=(1, 2, 3), stop=(4, 5, 6)) (voxels, ZYX) of 'scale'" in str(
        error.value
    )
    assert "Unknown frame descriptor" in str(error.value)


@pytest.mark.parametrize(
    ("name", "shape", "size_nm"),
    [
        ("fib25_a", (250, 250, 250), (10, 10, 10)),
        ("fib25_b", (250, 250, 250), (10, 10, 10)),
        ("fib25_b_bodies", (250, 250, 250), (10, 10, 10)),
        ("snemi", (99, 512, 512), (30, 6, 6)),
        ("snemi_mitochondria_z48", (99, 512, 512), (30, 6, 6)),
        ("lucchi_train", (77, 384, 512), (10, 10, 10)),
        ("lucchi_train_mitochondria", (77, 384, 512), (10, 10, 10)),
        ("vnc_left", (20, 1024, 512), (45, 4.6, 4.6)),
        ("vnc_left_classes", (20, 1024, 512), (45, 4.6, 4.6)),
        ("vnc_stack2", (20, 1024, 1024), (45, 4.6, 4.6)),
        ("artefacts", (262, 262, 262), (10, 10, 10)),
    ],
)
def test_the_shared_volumes_open_as_they_stand(shared: Path, name, shape, size_nm):
    volume = open_volume(shared / "data" / f"{name}.zarr")

    assert volume.name == name
    assert volume.box == Box.of_shape(shape)
    assert volume.frame.voxel_size_nm == size_nm
    assert volume.attributes["license"]
    assert volume.read(Box.of_shape((4, 8, 8))).dtype == volume.dtype
