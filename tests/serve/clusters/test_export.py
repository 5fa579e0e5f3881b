"""Tests of serve/clusters/export.py."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from embed.errors import ConfigError, NotFoundError
from serve.clusters.clusters import Clusters
from serve.clusters.export import NEIGHBOURS, export_map
from serve.clusters.projection import load_projection


def test_a_parquet_file_has_what_embedding_atlas_takes(own, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    Clusters(own).name(0, "axons")
    path = tmp_path / "em.parquet"
    seen = []

    count = export_map(
        own, path, thumbnails=True, progress=lambda done, total: seen.append((done, total))
    )

    table = parquet.read_table(path).to_pydict()
    points = load_projection(own).points
    assert list(table) == [
        *("id", "x_nm", "y_nm", "z_nm", "umap_x", "umap_y", "cluster", "cluster_name"),
        *("neighbors", "thumbnail"),
    ]
    np.testing.assert_array_equal(table["id"], points.ids)
    np.testing.assert_allclose(table["umap_y"], points.xy[:, 1])
    assert set(zip(table["cluster"], table["cluster_name"], strict=True)) == {
        (0, "axons"), (1, "cluster 1"), (2, "cluster 2")
    }  # fmt: skip
    assert seen[-1] == (count, count) == (len(points.ids),) * 2
    first = table["neighbors"][0]
    assert len(first["ids"]) == len(first["distances"]) == NEIGHBOURS
    assert first["distances"] == sorted(first["distances"])
    assert {table["cluster"][row] for row in first["ids"]} == {table["cluster"][0]}
    assert Image.open(io.BytesIO(table["thumbnail"][0]["bytes"])).size == (64, 64)


def test_a_csv_file_is_what_napari_opens_as_points(mapped, tmp_path):
    export_map(mapped, tmp_path / "em.csv")

    with (tmp_path / "em.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    points = load_projection(mapped).points
    assert list(rows[0])[:4] == ["index", "axis-0", "axis-1", "axis-2"]
    zyx = [[float(row[f"axis-{i}"]) for i in range(3)] for row in rows]
    np.testing.assert_allclose(zyx, points.positions_nm_xyz[:, ::-1])
    assert [int(row["cluster"]) for row in rows] == points.clusters.tolist()


@pytest.mark.parametrize(
    ("kind", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_a_picture_shows_the_names_that_clusters_have_now(own, tmp_path, kind, start):
    Clusters(own).name(0, "x $ y")

    export_map(own, tmp_path / f"em.{kind}")

    assert (tmp_path / f"em.{kind}").read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("name", "thumbnails", "words"),
    [("em.xls", False, ".parquet, .csv, .png"), ("em.csv", True, "into .parquet files only")],
)
def test_another_kind_of_file_is_refused_with_those_there_are(
    mapped, tmp_path, name, thumbnails, words
):
    with pytest.raises(ConfigError, match=words):
        export_map(mapped, tmp_path / name, thumbnails=thumbnails)

    assert not list(tmp_path.iterdir())


def test_an_atlas_without_a_map_is_refused(atlas, tmp_path):
    with pytest.raises(NotFoundError, match="voxkin project"):
        export_map(atlas, tmp_path / "em.csv")
