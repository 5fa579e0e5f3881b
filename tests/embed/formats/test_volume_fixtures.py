"""Every array in the shared fixtures, written by other software: read right, or refused with why.

Axes, shapes and sizes are in the order of the store.
"""

from pathlib import Path

import numpy as np
import pytest

from embed.errors import DataError, VolumeError
from embed.formats.metadata import describe
from embed.geometry import Box
from embed.volume import open_volume

NG = "neuroglancer_datasource"
V2 = f"{NG}/zarr/zarr_v2/from_zarr-python/data.zarr"
V3 = f"{NG}/zarr/zarr_v3/from_zarrita/data.zarr"
OME = f"{NG}/zarr/ome_zarr"
PRE = "precomputed"
OME_06 = f"{OME}/all_0.6"
UM = 1000.0
ZYX, XYZC = ("z", "y", "x"), ("x", "y", "z", "channel")

# path: format, axes, shape, dtype, voxel size in nm of the first level
MULTISCALE = {
    f"{NG}/precomputed/one_channel": (PRE, XYZC, (10, 20, 30, 1), "uint16", (3, 4, 5, None)),
    f"{NG}/precomputed/two_channels": (PRE, XYZC, (10, 20, 30, 2), "uint16", (3, 4, 5, None)),
    f"{NG}/n5/n5_viewer_multiscale_modern": ("n5", ("x", "y"), (10, 20), "uint16", (10, None)),
    f"{NG}/n5/n5_viewer_multiscale_deprecated": ("n5", ("x", "y"), (10, 20), "uint16", (10, None)),
    f"{OME}/simple_0.4": ("ome-zarr 0.4", ("y", "x"), (10, 10), "uint16", (4, 30)),
    f"{OME}/simple_0.5": ("ome-zarr 0.5", ("y", "x"), (10, 10), "uint16", (4, 30)),
    f"{OME}/simple_0.5.zip": ("ome-zarr 0.5", ("y", "x"), (10, 10), "uint16", (4, 30)),
    f"{OME}/simple_0.5.ocdbt": ("ome-zarr 0.5", ("y", "x"), (10, 10), "uint16", (4, 30)),
}  # fmt: skip

# path: axes, voxel size, lower corner of voxel 0 (OME-Zarr's origin is its centre), in µm
TRANSFORMED = {
    f"{OME_06}/basic/identity.zarr": (ZYX, (1, 1, 1), (-0.5, -0.5, -0.5)),
    f"{OME_06}/basic/scale.zarr": (ZYX, (4, 3, 2), (-2, -1.5, -1)),
    f"{OME_06}/basic/translation.zarr": (ZYX, (1, 1, 1), (29.5, 19.5, 9.5)),
    f"{OME_06}/basic/sequenceScaleTranslation.zarr": (ZYX, (4, 3, 2), (30, 19.5, 9)),
    f"{OME_06}/axis_dependent/mapAxis.zarr": (("x", "z", "y"), (1, 1, 1), (-0.5, -0.5, -0.5)),
    # These two say affine and rotation, but keep the axes apart: scale with shift, reordering.
    f"{OME_06}/simple/affine.zarr": (ZYX, (4, 3, 2), (30, 19.5, 9)),
    f"{OME_06}/simple/rotation.zarr": (("y", "x", "z"), (1, 1, 1), (-0.5, -0.5, -0.5)),
}
SHEARED = f"{OME_06}/simple/anisotropic_rotation.zarr"

# Arrays that name no axes: path: format, shape, dtype
UNNAMED = {
    **{
        f"n5/{codec}": ("n5", (5, 4), "uint16") for codec in ("blosc", "bzip2", "gzip", "raw", "xz")
    },
    f"{NG}/zarr/zarr_v3/examples/single_res": ("zarr3", (6, 7), "uint16"),
    **{f"{path}/array": ("zarr3", (27, 226, 186), "uint8") for path in (*TRANSFORMED, SHEARED)},
    **{
        f"{OME}/simple_0.4/scale{i}/image": ("zarr2", (n, n), "uint16")
        for i, n in enumerate((10, 5, 2))
    },
    **{
        f"{NG}/n5/n5_viewer_multiscale_deprecated/s{i}": ("n5", shape, "uint16")
        for i, shape in enumerate(((10, 20), (5, 10), (3, 5)))
    },
    **{
        f"{V2}/{name}": ("zarr2", shape, dtype)
        for name, shape, dtype in (
            ("1d.chunked.i2", (4,), "int16"),
            ("1d.chunked.ragged.i2", (5,), "int16"),
            ("1d.contiguous.b1", (4,), "bool"),
            ("1d.contiguous.blosc.i2", (4,), "int16"),
            ("1d.contiguous.f4.be", (4,), "float32"),
            ("1d.contiguous.f4.le", (4,), "float32"),
            ("1d.contiguous.f8", (4,), "float64"),
            ("1d.contiguous.i4", (4,), "int32"),
            ("1d.contiguous.raw.i2", (4,), "int16"),
            ("1d.contiguous.u1", (4,), "uint8"),
            ("1d.contiguous.zlib.i2", (4,), "int16"),
            ("1d.contiguous.zstd.i2", (4,), "int16"),
            ("2d.chunked.i2", (2, 2), "int16"),
            ("2d.chunked.ragged.i2", (3, 3), "int16"),
            ("2d.contiguous.i2", (2, 2), "int16"),
            ("3d.chunked.i2", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.i2.C", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.i2.F", (3, 3, 3), "int16"),
            ("3d.contiguous.i2", (3, 3, 3), "int16"),
        )
    },
    **{
        f"{V3}/{name}": ("zarr3", shape, dtype)
        for name, shape, dtype in (
            ("1d.chunked.compressed.sharded.i2", (4,), "int16"),
            ("1d.chunked.filled.compressed.sharded.i2", (4,), "int16"),
            ("1d.chunked.i2", (4,), "int16"),
            ("1d.chunked.ragged.i2", (5,), "int16"),
            ("1d.contiguous.blosc.i2", (4,), "int16"),
            ("1d.contiguous.compressed.sharded.f4", (4,), "float32"),
            ("1d.contiguous.compressed.sharded.f8", (4,), "float64"),
            ("1d.contiguous.compressed.sharded.i2", (4,), "int16"),
            ("1d.contiguous.compressed.sharded.i4", (4,), "int32"),
            ("1d.contiguous.compressed.sharded.u1", (4,), "uint8"),
            ("1d.contiguous.f4.be", (4,), "float32"),
            ("1d.contiguous.f4.le", (4,), "float32"),
            ("1d.contiguous.f8", (4,), "float64"),
            ("1d.contiguous.gzip.i2", (4,), "int16"),
            ("1d.contiguous.i4", (4,), "int32"),
            ("1d.contiguous.raw.i2", (4,), "int16"),
            ("1d.contiguous.u1", (4,), "uint8"),
            ("2d.chunked.compressed.sharded.filled.i2", (4, 4), "int16"),
            ("2d.chunked.compressed.sharded.i2", (4, 4), "int16"),
            ("2d.chunked.i2", (2, 2), "int16"),
            ("2d.chunked.ragged.compressed.sharded.i2", (3, 3), "int16"),
            ("2d.chunked.ragged.i2", (3, 3), "int16"),
            ("2d.contiguous.compressed.sharded.i2", (2, 2), "int16"),
            ("2d.contiguous.i2", (2, 2), "int16"),
            ("3d.chunked.compressed.sharded.i2", (4, 4, 4), "int16"),
            ("3d.chunked.i2", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.compressed.sharded.i2", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.i2.C", (3, 3, 3), "int16"),
            ("3d.chunked.mixed.i2.F", (3, 3, 3), "int16"),
            ("3d.contiguous.compressed.sharded.i2", (3, 3, 3), "int16"),
            ("3d.contiguous.i2", (3, 3, 3), "int16"),
        )
    },
}

# Arrays that name their axes but state no size, or one that is no length.
NAMED = {
    **{
        f"{OME}/simple_0.5/scale{i}/image": ("zarr3", ("y", "x"), (n, n), "uint16", (None, None))
        for i, n in enumerate((10, 5, 2))
    },
    **{  # a level takes axes and resolution from the group around it
        f"{NG}/n5/n5_viewer_multiscale_modern/s{i}": ("n5", ("x", "y"), shape, "uint16", (nm, None))
        for i, (shape, nm) in enumerate((((10, 20), 10), ((5, 10), 20), ((3, 5), 40)))
    },
}

REFUSED = {
    f"{V2}/1d.contiguous.S7": "base64-encoded bytes",
    f"{V2}/1d.contiguous.U13.be": 'Unsupported zarr dtype: ">U13"',
    f"{V2}/1d.contiguous.U13.le": 'Unsupported zarr dtype: "<U13"',
    f"{V2}/1d.contiguous.U7": 'Unsupported zarr dtype: "<U7"',
    f"{V2}/2d.chunked.U7": 'Unsupported zarr dtype: "<U7"',
    f"{V2}/3d.chunked.O": 'Unsupported zarr dtype: "|O"',
    f"{V2}/1d.contiguous.lz4.i2": '"lz4" is not registered; write it anew as numbers with a common',
    f"{V3}/1d.contiguous.b1": '"fill_value": Expected boolean, but received: 0',
    f"{V3}/1d.contiguous.compressed.sharded.b1": '"fill_value": Expected boolean',
    V2: "is a group, not an array; the folder holds: 1d.chunked.i2, 1d.chunked.ragged.i2",
    V3: "is a group, not an array; the folder holds:",
    f"{OME}/simple_0.4/scale0": "is a group, not an array; the folder holds: image",
    f"{OME}/simple_0.4/scale1": "is a group, not an array; the folder holds: image",
    f"{OME}/simple_0.4/scale2": "is a group, not an array; the folder holds: image",
    f"{OME}/simple_0.5/scale0": "is a group, not an array",
    f"{OME}/simple_0.5/scale1": "is a group, not an array",
    f"{OME}/simple_0.5/scale2": "is a group, not an array",
    SHEARED: "turn or shear the axes; to use the grid of the array as it is, open file://",
    f"{NG}/nifti/standard.nii": "is NIfTI, which cannot be read; save it as TIFF or HDF5",
    f"{NG}/nifti/standard.nii.gz": "then convert that with: voxkin ingest",
    f"{NG}/nifti/example_nifti2.nii.gz": "is NIfTI",
    "h01_annotations": "holds neuroglancer_annotations_v1, which is no volume of voxels",
    "sift5k_128.npy": "is a file; a volume is the folder of",
}


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
