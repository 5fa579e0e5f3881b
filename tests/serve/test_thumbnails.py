"""Tests of serve/thumbnails.py, on the volume of a small atlas and on hand-made ones."""

import io

import numpy as np
import pytest
import tensorstore as ts
from PIL import Image

from embed.errors import RequestError
from embed.volume import open_volume
from serve.thumbnails import Greys, Slice, draw_slice

GREYS = Greys(0.0, 255.0)


def make_volume(path, voxels, voxel_nm=(10, 10, 10)):
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": list(voxels.shape),
            "data_type": str(voxels.dtype),
            "dimension_names": ["z", "y", "x"],
            "attributes": {"dimension_units": [f"{size} nm" for size in voxel_nm]},
        },
    }
    ts.open(spec, create=True).result().write(voxels).result()
    return open_volume(path)


@pytest.fixture(scope="module")
def ramp(tmp_path_factory):
    """64 voxels an edge, brighter along every axis, and differently so along each."""
    z, y, x = np.indices((64, 64, 64))
    voxels = (1 + z / 2 + y + 2 * x).astype(np.uint8)
    return make_volume(tmp_path_factory.mktemp("ramp") / "v.zarr", voxels), voxels


def draw(volume, *centre, plane="xy", size=32, nm_per_pixel=10.0):
    png = draw_slice(volume, GREYS, Slice(centre, plane, size, nm_per_pixel))
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize(
    ("plane", "centre", "expected"),
    [
        ("xy", (320.0, 320.0, 105.0), lambda v: v[10, 16:48, 16:48]),  # rows y, columns x
        ("xz", (320.0, 105.0, 320.0), lambda v: v[16:48, 10, 16:48]),  # rows z, columns x
        ("yz", (105.0, 320.0, 320.0), lambda v: v[16:48, 16:48, 10].T),  # rows y, columns z
    ],
)
def test_at_one_pixel_a_voxel_the_picture_is_the_slice(ramp, plane, centre, expected):
    volume, voxels = ramp

    picture = draw(volume, *centre, plane=plane)

    np.testing.assert_array_equal(picture[..., 0], expected(voxels))
    assert (picture[..., 1] == 255).all()


def test_voxels_that_are_not_cubes_are_drawn_to_scale(tmp_path):
    voxels = np.full((10, 40, 40), 100, np.uint8)
    volume = make_volume(tmp_path / "v.zarr", voxels, voxel_nm=(40, 10, 10))

    picture = draw(volume, 200.0, 200.0, 200.0, plane="xz", size=64)

    inside = picture[..., 1] > 128
    assert inside.any(axis=1).sum() == inside.any(axis=0).sum() == 40


@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
@pytest.mark.parametrize("centre", [(-1e4, 0.0, 0.0), (0.0, 1e300, 0.0), (0.0, 0.0, -1e300)])
def test_what_is_outside_the_volume_is_transparent(ramp, plane, centre):
    picture = draw(ramp[0], *centre, plane=plane)

    assert not picture[..., 1].any()


def test_at_a_border_only_the_part_inside_is_drawn(ramp):
    picture = draw(ramp[0], 0.0, 320.0, 325.0)

    assert not picture[:, :15, 1].any()
    assert (picture[:, 17:, 1] == 255).all()


def test_a_patch_of_zeros_is_transparent_and_a_single_dark_voxel_is_not(tmp_path):
    voxels = np.full((1, 64, 64), 200, np.uint8)
    voxels[0, 10:30, 10:30] = 0
    voxels[0, 50, 50] = 0
    volume = make_volume(tmp_path / "v.zarr", voxels)

    picture = draw(volume, 320.0, 320.0, 5.0, size=64)

    assert not picture[10:30, 10:30, 1].any()
    assert (picture[50, 50] == (0, 255)).all()
    assert (picture[..., 1] == 0).sum() == 400


def test_greys_span_the_contrast_of_the_volume():
    greys = Greys.around(1000.0, 100.0)

    drawn = greys(np.array([[0, 700, 1000, 1300, 65535]], np.uint16))

    np.testing.assert_array_equal(drawn, [[0, 0, 127, 255, 255]])


def test_values_that_are_no_numbers_are_black():
    drawn = GREYS(np.array([[np.nan, np.inf, -np.inf]], np.float32))

    np.testing.assert_array_equal(drawn, [[0, 255, 0]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 15}, "16 to 1024"),
        ({"size": 100_000}, "16 to 1024"),
        ({"nm_per_pixel": 0.0}, "above 0"),
        ({"nm_per_pixel": float("nan")}, "above 0"),
        ({"nm_per_pixel": 1e9}, "nm_per_pixel or less"),
        ({"plane": "zz"}, "xy, xz, yz"),
        ({"centre_nm_xyz": (float("nan"), 0.0, 0.0)}, "finite"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused_with_the_rule(ramp, change, words):
    asked = {"centre_nm_xyz": (0.0, 0.0, 0.0), "plane": "xy", "size": 32, "nm_per_pixel": 10.0}

    with pytest.raises(RequestError, match=words):
        draw_slice(ramp[0], GREYS, Slice(**(asked | change)))
