"""Tests of `voxkin probe apply --format`, `count` and `segments`."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.volume import open_volume
from serve.labels import LabelTable
from serve.probes import train_atlas_probe


@pytest.fixture(scope="module")
def mapped(atlas: Path, tmp_path_factory) -> Path:
    """An atlas with a probe that was applied, not to be changed but for its maps."""
    from serve.mapping.apply import apply_probe

    path = Path(shutil.copytree(atlas, tmp_path_factory.mktemp("mapped") / "tissue"))
    opened = Atlas.open(path)
    ids = np.random.default_rng(0).choice(opened.grid.size, 40, replace=False)
    names = tuple(np.where(opened.embeddings(ids)[:, 0] > 0, "bright", "dark").tolist())
    places = LabelTable(opened.positions_nm_xyz(ids), names)
    apply_probe(opened, train_atlas_probe(opened, places, "light"))
    return path


def test_a_map_is_written_in_a_format_of_other_programs(voxkin, mapped):
    ended = voxkin("probe", "apply", mapped, "--name", "light", "--format", "ome-zarr", "--smooth")

    path = mapped / "maps" / "light.smooth.ome.zarr"
    assert f"the map is {path}" in ended.out
    assert open_volume(path, channel=0).frame.voxel_size_nm == (10, 10, 10)


def test_classes_are_counted_as_a_table_and_as_json(voxkin, mapped):
    table = voxkin("probe", "count", mapped, "--name", "light")
    counts = voxkin("probe", "count", mapped, "--name", "light", "--least", 2, "--json").json

    assert [line.split()[0] for line in table.out.splitlines()[2:]] == ["bright", "dark"]
    assert [one["name"] for one in counts] == ["bright", "dark"]
    assert sum(one["locations"] for one in counts) == Atlas.open(mapped).grid.size
    assert sum(one["share"]["value"] for one in counts) == pytest.approx(1)


def test_segments_are_summarised_in_a_file(voxkin, mapped, volume, tmp_path):
    out = tmp_path / "segments.csv"
    words = ["--name", "light", "--segmentation", volume, "--radius", 30, "--out", out]

    ended = voxkin("probe", "segments", mapped, *words)

    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert ended.out == f"{out} has {len(rows)} segments\n"
    assert sum(int(row["locations"]) for row in rows) == Atlas.open(mapped).grid.size
    share = float(rows[0]["probability_bright"]) + float(rows[0]["probability_dark"])
    assert share == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["apply", "--name", "light", "--smooth"], "--format precomputed or ome-zarr"),
        (["count", "--name", "no"], "has no map in atlas"),
        (["count", "--name", "light", "--least", "0"], "at least 1 location"),
        (["segments", "--name", "light", "--out", "OUT"], "--segmentation"),
    ],
)
def test_what_cannot_be_done_is_said(voxkin, mapped, tmp_path, words, said):
    verb, *rest = (str(tmp_path / "out.csv") if word == "OUT" else word for word in words)

    assert said in voxkin("probe", verb, mapped, *rest).complaint
