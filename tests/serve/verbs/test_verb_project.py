"""Tests of `voxkin project`, on layouts without UMAP, which compiles for half a minute."""

import numpy as np
import pytest

import serve.clusters.project
from embed.geometry import Box
from embed.volume import open_volume
from serve.clusters.umap_worker import Layout
from tests.commandline import files


def _halves(vectors, config, tell):
    tell("starting UMAP", 0, 0)
    tell("laying out", 1, 200)
    tell("laying out", 200, 200)
    return Layout(vectors[:, :2], (vectors[:, 0] > np.median(vectors[:, 0])).astype(np.int64))


@pytest.fixture(autouse=True)
def _without_umap(monkeypatch):
    monkeypatch.setattr(serve.clusters.project, "lay_out", _halves)


@pytest.fixture
def projected(voxkin, own_atlas):
    """An atlas with a map of two clusters."""
    assert voxkin("project", own_atlas, "--sample", 60, "--neighbours", 5).code == 0
    return own_atlas


def test_a_sample_becomes_a_picture_and_a_table(voxkin, own_atlas):
    ended = voxkin("project", own_atlas, "--sample", 60, "--neighbours", 5)

    folder = own_atlas / "projection"
    assert ended.code == 0
    assert ended.err == ""
    assert f"look at {folder / 'umap.png'}; the table is {folder / 'umap.csv'}\n" in ended.out
    header, *rows = (folder / "umap.csv").read_text().splitlines()
    assert header == "id,x_nm,y_nm,z_nm,umap_x,umap_y,cluster"
    assert ended.out.startswith(f"{len(rows)} places in 2 clusters")
    assert {path.name for path in (folder / "clusters").iterdir()} == {"0.png", "1.png"}


def test_clusters_are_named_and_listed(voxkin, projected):
    named = voxkin("project", "name", projected, 1, "axons")

    assert (named.code, named.out) == (0, "cluster 1 is 'axons'\n")
    listed = voxkin("project", "list", projected, "--json").json
    assert [(one["number"], one["name"]) for one in listed] == [(0, "cluster 0"), (1, "axons")]
    assert "axons" in voxkin("project", "list", projected).out
    assert "they are 0 to 1" in voxkin("project", "name", projected, 2, "a").complaint


def test_the_cluster_of_every_location_is_written(voxkin, projected):
    ended = voxkin("project", "map", projected, "--json").json

    found = open_volume(ended["path"])
    voxels = found.read(Box.of_shape(found.box.shape))
    assert ended["locations"] == {str(n): int((voxels == n + 1).sum()) for n in range(2)}
    assert f"the map is {ended['path']}" in voxkin("project", "map", projected).out


@pytest.mark.parametrize("name", ["em.parquet", "em.csv", "em.png"])
def test_the_map_is_written_for_other_programs(voxkin, projected, tmp_path, name):
    ended = voxkin("project", "export", projected, "--out", tmp_path / name)

    assert ended.code == 0
    assert ended.out.endswith(f"points are in {tmp_path / name}\n")
    assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize("words", [["list"], ["name", "ATLAS", "0", "a"], ["map"], ["export"]])
def test_without_a_map_the_command_that_makes_one_is_said(voxkin, own_atlas, tmp_path, words):
    command = [own_atlas if word == "ATLAS" else word for word in words]
    command += [own_atlas] if own_atlas not in command else []
    command += ["--out", tmp_path / "em.csv"] if words == ["export"] else []

    assert f"make one with: voxkin project {own_atlas}" in voxkin("project", *command).complaint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sample", "0"], "at least 1; got 0"),
        (["--neighbours", "1"], "2 to 200; got 1"),
        (["--min-dist", "2"], "got 2"),
        (["--sample", "5"], "lower --neighbours"),
    ],
)
def test_a_setting_out_of_range_is_refused(voxkin, own_atlas, words, said):
    before = files(own_atlas)

    assert said in voxkin("project", own_atlas, *words).complaint

    assert files(own_atlas) == before


def test_a_format_that_is_none_is_refused_with_those_there_are(voxkin, own_atlas):
    ended = voxkin("project", own_atlas, "--format", "xls")

    assert ended.code == 2
    assert "'csv'" in ended.err


def test_a_half_written_atlas_is_refused(voxkin, own_atlas):
    (own_atlas / "ledger" / "0.0.0.json").unlink()

    assert "1 of 2 shards" in voxkin("project", own_atlas).complaint
