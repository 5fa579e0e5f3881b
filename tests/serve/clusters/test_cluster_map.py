"""Tests of serve/clusters/cluster_map.py."""

import csv
import shutil

import numpy as np
import pytest

import serve.clusters.project
from embed.atlas import Atlas
from embed.errors import IncompleteError, NotFoundError
from embed.geometry import Box
from embed.volume import open_volume
from serve.clusters.cluster_map import COLUMNS, map_clusters
from serve.clusters.clusters import Clusters
from serve.clusters.project import project
from serve.clusters.umap_worker import Layout
from serve.swap import alone
from tests.atlases import make_given_atlas
from tests.laid_out import three_kinds


def test_every_location_with_data_is_in_the_cluster_of_its_kind(own):
    seen = []

    summary = map_clusters(own, lambda done, total: seen.append((done, total)))

    volume = open_volume(summary.path)
    found = volume.read(Box.of_shape(own.grid.shape))
    kinds = three_kinds()[1]
    clusters = [
        np.unique(
            found[
                :6,
                :,
                :,
            ][..., kinds == kind]
        ).tolist()
        for kind in range(3)
    ]
    assert sorted(clusters) == [[1], [2], [3]]
    assert not found[6:].any()
    assert summary.locations == {n: int((found == n + 1).sum()) for n in range(3)}
    assert summary.unclustered == 2 * 8 * 8
    assert seen[-1] == (own.planned, own.planned)
    np.testing.assert_allclose(
        volume.frame.voxel_size_nm, np.multiply(own.grid.stride, own.frame.voxel_size_nm)
    )


def test_a_run_that_was_stopped_goes_on_and_comes_to_the_same(atlas, tmp_path, monkeypatch):
    def halves(vectors, config, tell):
        return Layout(vectors[:, :2], (vectors[:, 0] > 0).astype(np.int64))

    own = Atlas.open(shutil.copytree(atlas.path, tmp_path / "copy"))
    monkeypatch.setattr(serve.clusters.project, "lay_out", halves)
    project(own, sample=400, montages=False)

    def stop(done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        map_clusters(own, stop)
    assert not (own.path / "projection" / "clusters.zarr").exists()
    Clusters(own).name(1, "halves")
    reads = []
    read = own.store.read
    monkeypatch.setattr(own.store, "read", lambda box: (reads.append(box), read(box))[1])

    summary = map_clusters(own)

    assert 0 < len(reads) < len(own.shards)
    whole = open_volume(summary.path).read(Box.of_shape(own.grid.shape))
    map_clusters(own)
    np.testing.assert_array_equal(
        open_volume(summary.path).read(Box.of_shape(own.grid.shape)), whole
    )
    assert sum(summary.locations.values()) == np.count_nonzero(whole)
    names = [path.name for path in summary.path.parent.iterdir() if "zarr" in path.name]
    assert names == ["clusters.zarr"]


def test_a_map_cannot_be_made_again_meanwhile(own, again):
    with alone(own.path), pytest.raises(IncompleteError, match="another process is writing"):
        map_clusters(own)

    def try_again(done, total):
        with pytest.raises(IncompleteError, match="another process is writing"):
            again(own)

    map_clusters(own, try_again)


def test_of_given_places_a_table_is_written(mapped, tmp_path, monkeypatch):
    def by_sign(vectors, config, tell):
        return Layout(vectors[:, :2], (vectors[:, 0] > 0).astype(np.int64))

    given = make_given_atlas(tmp_path / "given", mapped)
    monkeypatch.setattr(serve.clusters.project, "lay_out", by_sign)
    project(given, sample=100, neighbours=5, montages=False)

    summary = map_clusters(given)

    with summary.path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    has_data = given.embeddings(np.arange(given.grid.size)).any(axis=1)
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == given.grid.size
    assert [row["cluster"] != "" for row in rows] == has_data.tolist()
    assert sum(summary.locations.values()) == has_data.sum()
    assert rows[3]["source"] == "1003"


def test_an_atlas_without_a_map_is_refused(atlas):
    with pytest.raises(NotFoundError, match="voxkin project"):
        map_clusters(atlas)
