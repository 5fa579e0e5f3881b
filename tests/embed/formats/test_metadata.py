"""Tests of embed/formats/metadata.py: what each format states, and what is said of no array."""

import json

import numpy as np
import pytest
import tensorstore as ts

from embed.errors import VolumeError
from embed.formats.metadata import describe
from tests.embed.formats.stores import make_array, write


def test_zarr_v2_takes_names_and_units_from_its_attributes(tmp_path):
    make_array(tmp_path / "a", "zarr", shape=(8, 6, 4))
    units = ["4 nm", "4 nm", "0.04 um"]
    said = {"_ARRAY_DIMENSIONS": ["x", "y", "z"], "dimension_units": units, "license": "CC0"}
    write(tmp_path / "a", zattrs=said)

    description = describe(tmp_path / "a")

    assert (description.format, description.axes) == ("zarr2", ("x", "y", "z"))
    assert description.voxel_size_nm == (4, 4, 40)
    assert description.attributes == {"license": "CC0"}


def test_zarr_v3_takes_names_from_itself_and_else_from_xarrays_attribute(tmp_path):
    make_array(tmp_path / "own", dimension_names=["y", "x", "z"])
    make_array(tmp_path / "xarray", attributes={"_ARRAY_DIMENSIONS": ["x", "z", "y"]})
    make_array(tmp_path / "partly", dimension_names=["z", None, "x"])

    assert describe(tmp_path / "own").axes == ("y", "x", "z")
    assert describe(tmp_path / "xarray").axes == ("x", "z", "y")
    assert describe(tmp_path / "partly").axes == ("z", None, "x")


@pytest.mark.parametrize(
    ("said", "size", "note"),
    [
        ({"units": ["nm"] * 3, "resolution": [4, 4, 40]}, (4, 4, 40), ""),
        ({"pixelResolution": {"dimensions": [0.004, 0.004, 0.04], "unit": "um"}}, (4, 4, 40), ""),
        ({"units": ["nm", "nm", "s"], "resolution": [4, 4, 40]}, (4, 4, None), "'z' is measured"),
        ({"resolution": [4, 4, 40]}, (None, None, None), "[4, 4, 40] without a unit"),
        ({"pixelResolution": [4, 4, 40]}, (None, None, None), "without a unit"),
        ({}, (None, None, None), ""),
    ],
)
def test_n5_takes_its_voxel_size_from_any_of_its_dialects(tmp_path, said, size, note):
    make_array(tmp_path / "a", "n5", compression={"type": "gzip"})
    attributes = json.loads((tmp_path / "a" / "attributes.json").read_text())
    write(tmp_path / "a", n5={**attributes, "axes": ["x", "y", "z"], **said, "license": "CC0"})

    description = describe(tmp_path / "a")

    assert description.axes == ("x", "y", "z")
    assert description.voxel_size_nm == pytest.approx(size)
    assert note in "".join(description.notes)
    assert description.attributes["license"] == "CC0"


def test_n5_levels_are_the_base_times_their_factors_in_a_list_or_one_by_one(tmp_path):
    said = {"axes": ["x", "y", "z"], "units": ["nm"] * 3, "resolution": [4, 4, 40]}
    for group, listed in (("list", {"downsamplingFactors": [[1, 1, 1], [2, 2, 1]]}), ("each", {})):
        for level in ("s0", "s1"):
            make_array(tmp_path / group / level, "n5", compression={"type": "gzip"})
        write(tmp_path / group, n5={**said, **listed})
    child = tmp_path / "each" / "s1" / "attributes.json"
    child.write_text(
        json.dumps({**json.loads(child.read_text()), "downsamplingFactors": [2, 2, 1]})
    )

    sizes = [[(4, 4, 40), (8, 8, 40)]] * 2

    assert sizes == [
        [level.voxel_size_nm for level in describe(tmp_path / group).levels]
        for group in ("list", "each")
    ]
    assert describe(tmp_path / "each" / "s1").voxel_size_nm == (8, 8, 40)


def test_precomputed_is_in_nanometres_and_keeps_its_offset(tmp_path):
    scale = {"resolution": [4, 4, 40], "size": [8, 6, 4], "voxel_offset": [-3, 5, 7]}
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": f"file://{tmp_path}/",
        "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
        "scale_metadata": {**scale, "encoding": "raw", "chunk_size": [4, 4, 4]},
    }
    ts.open(spec, create=True).result()

    description = describe(f"precomputed://file://{tmp_path}")

    assert (description.format, description.axes) == ("precomputed", ("x", "y", "z", "channel"))
    assert description.voxel_size_nm == (4, 4, 40, None)
    assert description.levels[0].origin_nm == (0, 0, 0, None)


def test_any_other_tensorstore_driver_is_described_by_what_tensorstore_says(tmp_path):
    units = {"dimension_units": ["40 nm", "4 nm", "4 nm"], "license": "CC0"}
    make_array(tmp_path, dimension_names=["z", "y", "x"], attributes=units)
    base = {"driver": "zarr3", "kvstore": f"file://{tmp_path}/"}
    spec = {
        "driver": "downsample",
        "base": base,
        "downsample_factors": [1, 2, 2],
        "downsample_method": "mean",
    }

    description = describe(spec)

    assert (description.format, description.axes) == ("downsample", ("z", "y", "x"))
    assert (description.shape, description.voxel_size_nm) == ((4, 3, 4), (40, 8, 8))


def test_data_types_are_named_as_numpy_names_them(tmp_path):
    for dtype in ("float16", "uint64", "complex64"):
        make_array(tmp_path / dtype, dtype=dtype)

        assert np.dtype(describe(tmp_path / dtype).dtype) == np.dtype(dtype)


def test_a_path_that_does_not_exist_is_answered_with_what_does(tmp_path):
    for name in ("b.zarr", "a.zarr", "notes.txt"):
        (tmp_path / name).mkdir()

    with pytest.raises(VolumeError) as error:
        describe(tmp_path / "c" / "d.zarr")

    assert str(error.value) == (
        f"no such path: {tmp_path}/c/d.zarr; the folder {tmp_path} holds: a.zarr, b.zarr, notes.txt"
    )


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {},
            "is no array: it has no zarr.json, .zarray, info or attributes.json; the folder holds",
        ),
        ({"zgroup": {"zarr_format": 2}}, "is a group, not an array; the folder holds: inner"),
        ({"group": {"zarr_format": 3, "node_type": "group"}}, "is a group, not an array"),
        ({"n5": {"n5": "2.0.0"}}, "is a group, not an array"),
        ({"group": ["a list"]}, "zarr.json holds no JSON object but a list"),
        ({"group": {"node_type": "array", "shape": [4, 4], "zarr_format": 3}}, "data_type"),
        ({"group": {"attributes": {"ome": {"multiscales": [{"datasets": 3}]}}}}, "malformed"),
        ({"n5": {"dimensions": [3], "dataType": "uint8", "axes": 7}}, "malformed"),
    ],
)
def test_a_folder_that_is_no_array_says_what_it_is(tmp_path, files, words):
    (tmp_path / "inner").mkdir()
    write(tmp_path, **files)

    with pytest.raises(VolumeError) as error:
        describe(tmp_path)

    assert words in str(error.value)


def test_a_folder_of_another_format_than_the_url_says_is_refused(tmp_path):
    make_array(tmp_path / "a")

    with pytest.raises(VolumeError, match="is no array of format n5; the folder holds"):
        describe(f"n5://{tmp_path}/a")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stack.tif", "must be converted once: voxkin ingest"),
        ("stack.h5", "must be converted once: voxkin ingest"),
        ("brain.nii.gz", "is NIfTI, which cannot be read"),
        ("brain.mrc", "is a file; a volume is the folder of"),
        ("broken.zip", "cannot re"),
    ],
)
def test_a_file_is_answered_with_what_to_do_about_it(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"something")

    with pytest.raises(VolumeError, match=words):
        describe(tmp_path / name)


def test_a_folder_of_sections_is_to_be_ingested(tmp_path):
    (tmp_path / "s1.tif").write_bytes(b"")

    with pytest.raises(VolumeError, match="is a folder of TIFF files; convert it once: voxkin ing"):
        describe(tmp_path)


def test_metadata_that_are_no_json_are_named(tmp_path):
    (tmp_path / "zarr.json").write_text("{oops")

    with pytest.raises(VolumeError, match=r"zarr\.json holds no JSON"):
        describe(tmp_path)
