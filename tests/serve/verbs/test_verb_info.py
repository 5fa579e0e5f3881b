"""Tests of `voxkin info`."""

import shutil

import numpy as np
import pytest

from tests.commandline import truncate, write_volume


def test_a_volume_is_described_a_line_each(voxkin, volume):
    told = voxkin("info", volume)

    assert told.code == 0
    assert told.err == ""
    rows = dict(line.split("  ", 1) for line in told.out.splitlines())
    assert {name: value.strip() for name, value in rows.items()} == {
        "volume": "tissue",
        "source": f"file://{volume}/",
        "format": "zarr3",
        "stored as": "uint8, 40 x 48 x 56, axes z, y, x",
        "voxel size": "x 10  y 10  z 10 nm",
        "as a volume": "yes, level 0",
        "voxels": "x 0:56  y 0:48  z 0:40",
        "extent": "x 0.56  y 0.48  z 0.4 µm",
        "size": "0.1 MB",
        "grey values": rows["grey values"].strip(),
        "void": "about 0%",
    }


def test_json_is_one_value_and_nothing_else(voxkin, volume):
    told = voxkin("info", volume, "--json")

    assert told.code == 0
    assert told.err == ""
    assert told.json["voxel_size_nm"] == {"x": 10, "y": 10, "z": 10}
    assert told.json["opens_as_volume"] is True


def test_the_sample_is_a_volume_by_name(voxkin):
    told = voxkin("info", "sample")

    assert told.code == 0
    assert "CC BY 3.0" in told.out


def test_the_volumes_that_are_shared_open(voxkin, shared):
    volumes = sorted((shared / "data").glob("*.zarr"))

    codes = {path.name: voxkin("info", path).code for path in volumes}

    assert len(codes) >= 10
    assert set(codes.values()) == {0}


def test_the_levels_of_a_multiscale_volume_are_listed(voxkin, shared):
    path = shared / "fixtures" / "neuroglancer_datasource" / "precomputed" / "one_channel"

    told = voxkin("info", path)

    assert "level 2      3 x 5 x 8 x 1, x 12  y 16  z 20 nm" in told.out


@pytest.mark.parametrize("names", [None, ("a", "b", "c")])
def test_axes_without_a_name_are_described_and_asked_for(voxkin, tissue, tmp_path, names):
    path = write_volume(tmp_path / "unnamed.zarr", tissue, names=names)

    told, stated = (
        voxkin("info", path),
        voxkin("info", path, "--axes", "zyx", "--voxel-size", "8,8,8"),
    )

    assert "stored as    uint8, 40 x 48 x 56" in told.out
    assert "as a volume  no" in told.out
    assert "state them with --axes" in told.complaint
    assert stated.code == 0


def test_json_of_what_is_no_volume_says_why_and_the_exit_code_too(voxkin, tissue, tmp_path):
    path = write_volume(tmp_path / "unnamed.zarr", tissue, names=None)

    told = voxkin("info", path, "--json")

    assert told.json["opens_as_volume"] is False
    assert told.json["reason"] in told.complaint


def test_a_data_type_that_is_no_grey_value_is_refused(voxkin, tissue, tmp_path):
    path = write_volume(tmp_path / "complex.zarr", tissue.astype(np.complex64))

    assert "holds complex64" in voxkin("info", path).complaint


def test_nan_is_said_and_is_null_in_json(voxkin, tissue, tmp_path):
    grey = tissue.astype(np.float32)
    grey[20, 20, 20] = np.nan
    path = write_volume(tmp_path / "nan.zarr", grey)

    told, in_json = voxkin("info", path), voxkin("info", path, "--json")

    assert "nan holds NaN or infinite values" in told.complaint
    assert "grey values  not all are finite numbers" in told.out
    assert in_json.json["sample"]["mean"] is None


def test_a_chunk_that_is_cut_short_is_said(voxkin, mine):
    truncate(mine / "c" / "0" / "1" / "1")

    told = voxkin("info", mine)

    assert "grey values  cannot be read" in told.out
    assert "c/0/1/1" in told.complaint


def test_chunks_that_are_not_there_count_as_void(voxkin, mine):
    shutil.rmtree(mine / "c" / "0")

    told = voxkin("info", mine)

    assert told.code == 0
    assert "void         about 50%" in told.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--level", 3], "has no level 3"),
        (["--channel", 1], "has no channel 1"),
        (["--axes", "xyz"], "leave out --axes"),
        (["--voxel-size", "8,8"], "as in --voxel-size 8,8,40"),
    ],
)
def test_a_flag_that_does_not_fit_is_refused(voxkin, volume, words, said):
    assert said in voxkin("info", volume, *words).complaint


@pytest.mark.parametrize("name", ["nowhere.zarr", "", "README.md"])
def test_what_is_no_volume_is_refused_with_what_is(voxkin, tmp_path, name):
    (tmp_path / "README.md").write_text("words")

    assert str(tmp_path) in voxkin("info", tmp_path / name).complaint
