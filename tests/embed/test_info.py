"""Tests of embed/info.py: what is said about a source."""

import json

import numpy as np
import pytest
import tensorstore as ts

from embed.info import info_json, summarize
from embed.volume import open_volume


@pytest.fixture
def place(tmp_path):
    """A volume of ones whose lower half in z is void."""
    spec = {
        "driver": "zarr3",
        "kvstore": f"file://{tmp_path}/half.zarr/",
        "metadata": {
            "dimension_names": ["z", "y", "x"],
            "attributes": {
                "dimension_units": ["40 nm", "4 nm", "5 nm"],
                "license": "CC0",
                "source": "here",
            },
        },
    }
    store = ts.open(spec, create=True, dtype="uint16", shape=(32, 48, 64)).result()
    store[16:] = np.ones((16, 48, 64), np.uint16)
    return tmp_path / "half.zarr"


def test_a_summary_holds_the_grey_values_and_the_share_of_void(place):
    summary = summarize(open_volume(place))

    assert (summary.minimum, summary.maximum, summary.mean) == (0, 1, 0.5)
    assert summary.void_fraction == 0.5


def test_everything_is_named_by_axis_and_survives_json(place):
    info = json.loads(json.dumps(info_json(place)))

    assert (info["name"], info["format"], info["dtype"]) == ("half", "zarr3", "uint16")
    assert (info["axes"], info["shape"]) == (["z", "y", "x"], [32, 48, 64])
    assert info["voxel_size_nm"] == {"x": 5, "y": 4, "z": 40}
    assert info["box"] == {"start": {"x": 0, "y": 0, "z": 0}, "stop": {"x": 64, "y": 48, "z": 32}}
    assert info["extent_um"] == {"x": 0.32, "y": 0.192, "z": 1.28}
    assert info["bytes"] == 2 * 32 * 48 * 64
    assert (info["licence"], info["attributes"]["source"]) == ("CC0", "here")
    assert (info["opens_as_volume"], info["reason"]) == (True, None)
    assert info["sample"]["mean"] == 0.5


def test_a_source_that_does_not_open_as_a_volume_is_described_with_what_to_pass(shared):
    info = info_json(shared / "fixtures/neuroglancer_datasource/zarr/ome_zarr/simple_0.5")

    assert (info["format"], info["shape"]) == ("ome-zarr 0.5", [10, 10])
    assert info["voxel_size_nm"] == {"x": 30, "y": 4}
    assert [level["path"] for level in info["levels"]] == [f"scale{i}/image" for i in range(3)]
    assert not info["opens_as_volume"]
    assert "--voxel-size" in info["reason"]


def test_voxels_that_cannot_be_read_do_not_hide_the_metadata(shared):
    path = "fixtures/neuroglancer_datasource/zarr/ome_zarr/all_0.6/basic/scale.zarr"

    info = info_json(shared / path)

    assert info["opens_as_volume"]
    assert info["sample"] is None
    assert "Unknown frame descriptor" in info["sample_error"]


def test_a_volume_with_voids_shows_about_the_share_that_it_has(shared):
    info = info_json(shared / "data" / "artefacts.zarr")

    assert 0.05 < info["sample"]["void_fraction"] < 0.3
