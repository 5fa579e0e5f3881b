"""Tests of embed/formats/ome.py: transformations, axes and levels of OME-Zarr."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from embed.errors import VolumeError
from embed.formats.metadata import describe
from embed.formats.ome import centre, lower_corner
from tests.embed.formats.stores import make_array, write


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


def test_ome_zarr_states_the_centre_of_a_voxel_and_everyone_else_its_lower_corner(tmp_path):
    scale = {"type": "scale", "scale": [40, 4, 4]}
    shift = {"type": "translation", "translation": [100, 0, 2]}
    ome_group(tmp_path / "ome", {"type": "sequence", "transformations": [scale, shift]})
    make_array(tmp_path / "plain", attributes={"dimension_units": ["40 nm", "4 nm", "4 nm"]})

    assert describe(tmp_path / "ome").levels[0].origin_nm == (80, -2, 0)
    assert describe(tmp_path / "plain").levels[0].origin_nm == (0, 0, 0)
    assert lower_corner(100.0, 40.0) == 80.0
    assert centre(lower_corner(7.0, 30.0), 30.0) == 7.0


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
