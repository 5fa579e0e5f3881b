"""Tests of embed/source.py: every way of naming a volume, translated both ways."""

import json

import pytest

from embed.errors import VolumeError
from embed.formats.source import parse

GCS = {"driver": "gcs", "bucket": "bucket", "path": "a/x/"}
HTTP = {"driver": "http", "base_url": "https://host", "path": "/x/"}
FILE = {"driver": "file", "path": "/a/x.zarr/"}


@pytest.mark.parametrize(
    ("text", "driver", "kvstore"),
    [
        ("/a/x.zarr", "auto", FILE),
        ("/a/x.zarr/", "auto", FILE),
        ("file:///a/x.zarr", "auto", FILE),
        ("file:///a/x.zarr/|zarr3:", "zarr3", FILE),
        ("file:///a/x.zarr|zarr2:", "zarr", FILE),
        ("gs://bucket/a/x", "auto", GCS),
        ("gs://bucket/a/x/|neuroglancer-precomputed:", "neuroglancer_precomputed", GCS),
        ("gs://bucket/a/x|precomputed:", "neuroglancer_precomputed", GCS),
        ("gs://bucket/a|zarr3:x", "zarr3", GCS),
        ("gs://bucket/a/x|zarr:", "auto", GCS),
        ("s3://bucket/a/x|n5:", "n5", {**GCS, "driver": "s3"}),
        ("precomputed://gs://bucket/a/x", "neuroglancer_precomputed", GCS),
        ("precomputed:///a/x.zarr", "neuroglancer_precomputed", FILE),
        ("precomputed://file:///a/x.zarr", "neuroglancer_precomputed", FILE),
        ("zarr3://https://host/x", "zarr3", HTTP),
        ("zarr2://https://host/x/", "zarr", HTTP),
        ("zarr://https://host/x", "auto", HTTP),
        ("n5://gs://bucket/a/x", "n5", GCS),
        ("/a/x.zip", "auto", {"driver": "zip", "base": {**FILE, "path": "/a/x.zip"}, "path": ""}),
        (
            "gs://bucket/x.zip|zip:inside|zarr3:",
            "zarr3",
            {"driver": "zip", "base": {**GCS, "path": "x.zip"}, "path": "inside/"},
        ),
    ],
)
def test_a_url_in_either_syntax_becomes_a_tensorstore_spec(text, driver, kvstore):
    source = parse(text)

    assert source.spec == {"driver": driver, "kvstore": kvstore}
    assert parse(source.url) == source


@pytest.mark.parametrize(
    ("text", "neuroglancer"),
    [
        ("gs://bucket/x/|neuroglancer-precomputed:", "precomputed://gs://bucket/x"),
        ("https://host/x/|zarr2:", "zarr2://https://host/x"),
        ("s3://bucket/x|zarr3:", "zarr3://s3://bucket/x"),
        ("n5:///a/x.n5", "n5://file:///a/x.n5"),
        ("gs://bucket/x", "gs://bucket/x/"),
        ("gs://bucket/x.zip|zip:|zarr3:", "gs://bucket/x.zip|zip:|zarr3:"),
    ],
)
def test_a_spec_becomes_a_neuroglancer_url_that_names_it_again(text, neuroglancer):
    source = parse(text)

    assert source.neuroglancer_url == neuroglancer
    assert parse(source.neuroglancer_url) == source


def test_a_spec_may_be_a_mapping_json_text_or_a_json_file(tmp_path):
    spec = {"driver": "zarr3", "kvstore": "gs://bucket/a/x"}
    file = tmp_path / "x.json"
    file.write_text(json.dumps(spec))

    sources = [parse(spec), parse(json.dumps(spec)), parse(file), parse(str(file))]

    assert all(s.spec == {"driver": "zarr3", "kvstore": GCS} for s in sources)


def test_relative_paths_become_absolute_also_inside_a_spec(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old_style = {"driver": "zarr", "kvstore": {"driver": "file", "path": "a"}, "path": "b"}
    nested = {"driver": "cast", "dtype": "uint8", "base": old_style}

    assert parse("a/x.zarr").spec["kvstore"]["path"] == f"{tmp_path}/a/x.zarr/"
    assert parse(old_style).spec["kvstore"]["path"] == f"{tmp_path}/a/b/"
    assert parse(nested).spec["base"]["kvstore"]["path"] == f"{tmp_path}/a"


def test_a_metadata_file_stands_for_the_folder_it_lies_in(tmp_path):
    (tmp_path / "zarr.json").write_text("{}")

    assert parse(tmp_path / "zarr.json") == parse(tmp_path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/a/fib25.ome.zarr", "fib25"),
        ("gs://bucket/em/v1.2/|neuroglancer-precomputed:", "v1.2"),
        ("gs://bucket", "bucket"),
        ("/a/x.zarr.zip", "x"),
        ("gs://bucket/x/|zarr3:|cast:uint8", "x"),
    ],
)
def test_a_volume_is_named_after_the_last_part_of_its_path(text, name):
    assert parse(text).name == name


def test_a_volume_descriptor_gives_its_spec_and_voxel_size():
    descriptor = {
        "tensorstore_config": {
            "spec": {"driver": "zarr3", "kvstore": "gs://bucket/a/x"},
            "metadata": {"voxel_size": [4, 5, 40], "bounding_boxes": []},
        },
        "decorator_specs": [],
    }

    source = parse(descriptor)

    assert source.spec == {"driver": "zarr3", "kvstore": GCS}
    assert source.voxel_size_nm == (4.0, 5.0, 40.0)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("graphene://https://host/x", 'unsupported URL scheme: "graphene"'),
        ("graphene://https://host/x", "precomputed://"),
        ("gs://bucket/x|nifti:", 'unsupported URL scheme: "nifti"'),
        ("{not json", "no JSON"),
        ('{"a": 1}', "no TensorStore spec"),
        ({"driver": "zap"}, '"zap" is not a registered TensorStore driver'),
        ({"volinfo": "x"}, "no tensorstore_config"),
        (
            {
                "tensorstore_config": {
                    "spec": {"driver": "zarr3", "kvstore": "gs://bucket/x"},
                    "metadata": {"voxel_size": [4, 40]},
                }
            },
            "voxel_size of this VolumeDescriptor is no X, Y, Z: [4, 40]",
        ),
        ({"tensorstore_config": {"spec": {}}, "decorator_specs": [{"decorator": "Z"}]}, "decorat"),
    ],
)
def test_what_names_no_volume_is_refused_and_the_known_forms_are_named(source, words):
    with pytest.raises(VolumeError) as error:
        parse(source)

    assert words in str(error.value)


def test_neuroglancer_has_no_url_for_a_spec_with_a_transform():
    spec = {"driver": "zarr3", "kvstore": "gs://bucket/x", "transform": {"input_rank": 3}}

    with pytest.raises(VolumeError, match="only plain stores"):
        _ = parse(spec).neuroglancer_url
