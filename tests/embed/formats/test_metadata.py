"""Tests of embed/metadata.py and the readers below it, on stores made for the purpose."""

import functools
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tensorstore as ts

from embed.errors import VolumeError
from embed.formats.metadata import describe
from embed.formats.ome import centre, lower_corner
from embed.formats.units import length_nm, unit_nm


def make_array(path, driver="zarr3", shape=(4, 6, 8), dtype="uint8", **metadata):
    spec = {"driver": driver, "kvstore": f"file://{path}/", "metadata": metadata}
    return ts.open(spec, create=True, dtype=dtype, shape=shape).result()


def write(path, **files):
    path.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (path / {"group": "zarr.json", "n5": "attributes.json"}.get(name, f".{name}")).write_text(
            json.dumps(value)
        )


def ome_group(path, *transformations, axes=None, version="0.6", group=(), arrays=("0",)):
    """An OME-Zarr 0.6 group whose arrays are all 4 x 6 x 8."""
    axes = axes or [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    multiscale = {
        "coordinateSystems": [{"name": "a", "axes": axes}],
        "coordinateTransformations": list(group),
        "datasets": [
            {
                "path": name,
                "coordinateTransformations": [{**t, "output": "a"} for t in transformations],
            }
            for name in arrays
        ],
    }
    ome = {"version": version, "multiscales": [multiscale]}
    write(path, group={"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}})
    for name in arrays:
        make_array(path / name, shape=(4, 6, 8, 2)[: len(axes)])


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("nanometer", 1),
        ("nanometers", 1),
        ("µm", 1000),
        ("μm", 1000),
        ("um", 1000),
        ("micron", 1000),
        ("\\u00B5m", 1000),
        ("Å", 0.1),
        ("angstrom", 0.1),
        ("pm", 1e-3),
        ("mm", 1e6),
        ("m", 1e9),
        ("metre", 1e9),
        ("s", None),
        ("ms", None),
        ("pixel", None),
        ("", None),
    ],
)
def test_units_of_length_are_known_by_their_names_and_signs(text, nm):
    assert unit_nm(text) == nm


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("10 nm", 10),
        ("4.6nm", 4.6),
        ("0.01 um", 10),
        ("1e-8 m", 10),
        (".5 µm", 500),
        ("nm", 1),
        ("10", None),
        ("10 s", None),
        ("1.2.3 nm", None),
        ("", None),
    ],
)
def test_a_length_is_a_number_and_a_unit(text, nm):
    assert length_nm(text) == pytest.approx(nm) if nm else length_nm(text) is None


def test_ome_zarr_states_the_centre_of_a_voxel_and_everyone_else_its_lower_corner(tmp_path):
    scale = {"type": "scale", "scale": [40, 4, 4]}
    shift = {"type": "translation", "translation": [100, 0, 2]}
    ome_group(tmp_path / "ome", {"type": "sequence", "transformations": [scale, shift]})
    make_array(tmp_path / "plain", attributes={"dimension_units": ["40 nm", "4 nm", "4 nm"]})

    assert describe(tmp_path / "ome").levels[0].origin_nm == (80, -2, 0)
    assert describe(tmp_path / "plain").levels[0].origin_nm == (0, 0, 0)
    assert lower_corner(100.0, 40.0) == 80.0
    assert centre(lower_corner(7.0, 30.0), 30.0) == 7.0


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


def test_ome_zarr_0_4_applies_the_transformation_of_the_group_after_that_of_the_level(tmp_path):
    make_array(tmp_path / "0", "zarr", shape=(2, 4, 6, 8))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    multiscale = {
        "version": "0.4",
        "axes": axes,
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": [1, 4, 0.4, 0.4]}],
            }
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [1, 0.01, 0.01, 0.01]}],
    }
    write(tmp_path, zattrs={"multiscales": [multiscale], "license": "CC0"})

    description = describe(tmp_path)

    assert (description.format, description.axes) == ("ome-zarr 0.4", ("c", "z", "y", "x"))
    assert description.voxel_size_nm == pytest.approx((None, 40, 4, 4))
    assert description.attributes == {"license": "CC0"}


def test_a_scale_in_metres_beside_a_channel_axis_keeps_the_axes_apart(tmp_path):
    axes = [{"name": n, "type": "space", "unit": "meter"} for n in "zyx"]
    axes = [*axes, {"name": "c", "type": "channel"}]
    ome_group(tmp_path, {"type": "scale", "scale": [4e-8, 4e-10, 4e-10, 1]}, axes=axes)

    assert describe(tmp_path).voxel_size_nm == pytest.approx((40, 0.4, 0.4, None))


def test_an_ome_axis_without_a_unit_has_no_size(tmp_path):
    axes = [{"name": "z", "unit": "nanometer"}, {"name": "y", "unit": "nanometer"}, {"name": "x"}]
    ome_group(tmp_path, {"type": "scale", "scale": [40, 4, 4]}, axes=axes)

    assert describe(tmp_path).voxel_size_nm == (40, 4, None)


@pytest.mark.parametrize(
    ("transformation", "words"),
    [
        (
            {"type": "affine", "affine": [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]},
            "turn or shea",
        ),
        ({"type": "rotation", "rotation": [[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]]}, "turn or"),
        ({"type": "mapAxis", "mapAxis": [0, 0, 1]}, "turn or shear"),
        ({"type": "scale", "scale": [1, -1, 1]}, "mirror"),
        ({"type": "displacements", "path": "field"}, "'displacements' is no scale, translation"),
        ({"type": "scale", "scale": [1, 1]}, "malformed"),
        ({"type": "scale"}, "malformed"),
    ],
)
def test_a_transformation_that_does_not_keep_the_axes_apart_is_refused(
    tmp_path, transformation, words
):
    ome_group(tmp_path, transformation)

    with pytest.raises(VolumeError, match=words):
        describe(tmp_path)


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


def test_a_group_is_read_over_http(tmp_path):
    ome_group(tmp_path / "x", {"type": "scale", "scale": [40, 4, 4]})
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever).start()
    try:
        description = describe(f"zarr3://http://127.0.0.1:{server.server_port}/x")
    finally:
        server.shutdown()
        server.server_close()

    assert (description.shape, description.voxel_size_nm) == ((4, 6, 8), (40, 4, 4))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


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


def test_a_level_that_is_missing_is_named(tmp_path):
    ome_group(tmp_path, {"type": "identity"}, arrays=("0", "1"))
    (tmp_path / "1" / "zarr.json").unlink()

    with pytest.raises(VolumeError, match=r'1/zarr\.json" does not exist'):
        describe(tmp_path)


def test_a_group_whose_names_do_not_fit_its_arrays_is_refused(tmp_path):
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    ome_group(tmp_path, {"type": "scale", "scale": [1, 1, 1]}, axes=axes)
    (tmp_path / "0" / "zarr.json").unlink()
    make_array(tmp_path / "0", shape=(6, 8))

    with pytest.raises(VolumeError, match=r"names 3 axes .* shapes \[\(6, 8\)\]"):
        describe(tmp_path)


def test_data_types_are_named_as_numpy_names_them(tmp_path):
    for dtype in ("float16", "uint64", "complex64"):
        make_array(tmp_path / dtype, dtype=dtype)

        assert np.dtype(describe(tmp_path / dtype).dtype) == np.dtype(dtype)
