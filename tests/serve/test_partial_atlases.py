"""Atlases of a region: most shards of their grid were never planned, and more may be added."""

import dataclasses

import numpy as np
import pytest

import serve.clusters.project
from embed.atlas import Atlas
from embed.errors import IncompleteError
from embed.geometry import Box
from embed.regions import Region
from embed.volume import open_volume
from serve.cli import main
from serve.clusters.project import project
from serve.clusters.umap_worker import Layout
from serve.index import build_index, open_index
from serve.labels import LabelTable
from serve.locations import count_locations, sample_locations, shard_locations
from serve.mapping.apply import apply_probe
from serve.probes import train_atlas_probe
from serve.search import Searcher
from tests.atlases import fill_planned, make_partial_atlas

CELLS = Box((6, 8, 10), (12, 14, 16))
"""The locations that are embedded, of 12 x 14 x 16; they touch three of its eight shards less."""

BESIDE = Box((6, 8, 4), (12, 14, 10))


def voxels(atlas, cells):
    return atlas.grid.voxels(cells)


def plainly(vectors, config, tell):
    """A layout without UMAP, which compiles for half a minute."""
    return Layout(vectors[:, :2], np.zeros(len(vectors), np.int64))


@pytest.fixture
def part(atlas, tmp_path):
    """An atlas of the last corner alone."""
    return make_partial_atlas(tmp_path / "part", voxels(atlas, CELLS), atlas)


def ids_in(atlas, cells):
    return np.sort(atlas.grid.ids(np.argwhere(np.ones(cells.shape)) + cells.start))


def ids_with_data(atlas):
    return np.sort(np.concatenate([locations.ids for _, locations in shard_locations(atlas)]))


def test_its_index_holds_what_is_embedded_and_finds_it(part, atlas):
    manifest = build_index(part)

    result = Searcher(part, open_index(part)).find_at(part.extent_nm_xyz[1], 300, 0)

    assert part.planned < part.grid.size
    assert manifest.count == count_locations(part) == CELLS.size
    assert manifest.voids == part.planned - CELLS.size
    assert (
        sorted([result.query_id, *(hit.id for hit in result.hits)]) == ids_in(atlas, CELLS).tolist()
    )
    assert result.reason == f"only {CELLS.size - 1} places besides the query have data"


def test_a_sample_is_as_large_as_if_nothing_but_the_region_were_there(part, atlas):
    sample = sample_locations(part, 100, seed=0)

    assert 80 <= len(sample.ids) <= 125
    assert set(sample.ids) <= set(ids_in(atlas, CELLS))


def test_lists_are_trained_although_most_of_each_shard_is_void(atlas, tmp_path):
    slab = Box((7, 0, 0), (9, 14, 16))
    part = make_partial_atlas(tmp_path / "slab", voxels(atlas, slab), atlas)

    manifest = build_index(part, factory="IVF4,Flat")

    assert part.planned > 3 * slab.size
    assert manifest.training >= 64 * 4 * 0.8


def test_a_probe_is_applied_to_the_region_and_its_map_covers_the_whole_grid(part, atlas):
    ids = ids_in(atlas, CELLS)[::5]
    names = np.where(part.embeddings(ids)[:, 0] < 0, "axon", "mito")
    table = LabelTable(part.positions_nm_xyz(ids), tuple(names.tolist()))
    seen = []

    probe = train_atlas_probe(part, table, "mito")
    summary = apply_probe(part, probe, lambda done, total: seen.append((done, total)))

    levels = open_volume(summary.path, channel=1).read(Box.of_shape(part.grid.shape))
    assert levels.shape == atlas.grid.shape
    assert sum(summary.locations.values()) == CELLS.size
    assert seen[-1] == (part.planned, part.planned)
    outside = np.ones(levels.shape, bool)
    outside[CELLS.slices] = False
    assert not levels[outside].any()
    assert levels[CELLS.slices].std() > 5


def test_it_is_laid_out_as_a_map(part, monkeypatch):
    monkeypatch.setattr(serve.clusters.project, "lay_out", plainly)
    info = project(part, sample=80, neighbours=5)

    assert 60 <= info.points <= 100


def test_the_index_of_an_atlas_that_was_extended_is_built_anew(part, atlas):
    first = build_index(part)
    more = part.extended(Region(voxels(atlas, BESIDE)))
    with pytest.raises(IncompleteError, match="finish it"):
        build_index(more)
    kept = open_index(more)
    fill_planned(more, atlas)

    second = build_index(more)

    assert kept.manifest == first
    assert (first.version, second.version) == ("0001", "0002")
    assert second.count == CELLS.size + BESIDE.size
    assert build_index(more) == second
    np.testing.assert_array_equal(
        ids_with_data(more), np.sort([*ids_in(atlas, CELLS), *ids_in(atlas, BESIDE)])
    )
    found = Searcher(more, open_index(more)).find_at(more.extent_nm_xyz[1], 1000, 0)
    assert len(found.hits) == second.count - 1


def test_an_atlas_extended_by_what_is_embedded_already_keeps_its_index(part, atlas):
    first = build_index(part)
    again = part.extended(Region(voxels(atlas, dataclasses.replace(CELLS, start=(8, 8, 12)))))

    fill_planned(again, atlas)

    assert build_index(Atlas.open(again.path)) == first


def test_a_search_says_that_the_index_is_older_than_what_was_added(part, atlas, capsys):
    build_index(part)
    place = ",".join(map(str, part.extent_nm_xyz[1]))
    words = ["find", str(part.path), "--at", place, "--min-separation", "0"]
    assert main(words) == 0
    before = capsys.readouterr().err
    fill_planned(part.extended(Region(voxels(atlas, BESIDE))), atlas)

    assert main(words) == 0

    after = capsys.readouterr().err
    assert before == ""
    assert f"holds {CELLS.size} of {CELLS.size + BESIDE.size} locations until" in after
