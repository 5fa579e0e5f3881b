"""Tests of serve/indexing/extension.py: what is new to an index is added to it."""

import json

import numpy as np
import pytest

from embed.geometry import Box
from embed.regions import Region
from serve.index import build_index, open_index
from serve.locations import count_locations
from serve.manifest import index_root
from serve.removal import remove
from tests.atlases import fill_planned, make_partial_atlas
from tests.serve.brute import everything

CELLS = Box((2, 2, 4), (12, 14, 14))
SLICE = Box((2, 2, 4), (12, 14, 16))
"""Two planes more, which lie in shards that are there and in others."""


@pytest.fixture
def part(atlas, tmp_path):
    """An atlas of a box alone."""
    return make_partial_atlas(tmp_path / "part", atlas.grid.voxels(CELLS), atlas)


def _extended(part, like, cells):
    return fill_planned(part.extended(Region(like.grid.voxels(cells))), like)


@pytest.mark.parametrize("factory", ["Flat", "IVF8,Flat", "PCAR8,IVF8,PQ16x4fsr"])
def test_only_what_is_new_is_added_and_the_quantiser_stays(part, atlas, factory):
    factory = factory.replace("PQ16", "PQ8")
    first = build_index(part, factory=factory)
    more = _extended(part, atlas, SLICE)
    read = []

    second = build_index(more, progress=lambda done, total: read.append(total))

    index = open_index(more)
    ids, vectors, _ = everything(more)
    found = index.search(vectors[:1], len(ids), index.manifest.lists)[1][0]
    root = index_root(more)
    assert np.sort(found).tolist() == np.sort(ids).tolist()
    assert second.count == second.locations == count_locations(more) > first.count
    assert second.trained_sha256 == first.trained_sha256
    assert second.trained_at == first.trained_at
    assert second.reason == first.reason
    assert second.note == f"{second.count - first.count} locations added to 0001"
    assert (root / "0001" / "index.faiss").exists()
    assert json.loads((root / "current.json").read_text()) == {"version": "0002"}
    assert build_index(more) == second
    assert read[-1] < more.planned + 1


def test_what_was_added_counts_in_the_recall(part, atlas):
    build_index(part, factory="IVF8,Flat")
    more = _extended(part, atlas, SLICE)

    added = build_index(more)

    anew = build_index(more, rebuild=True, factory="IVF8,Flat")
    assert added.recall == pytest.approx(anew.recall, abs=0.05)
    assert added.recall >= 0.9


def test_shards_that_have_not_changed_are_not_read_again(part, atlas):
    build_index(part)
    more = _extended(part, atlas, SLICE)
    totals = []

    build_index(more, progress=lambda done, total: totals.append(total))

    changed = [box for box in more.shards if box.stop[2] > 14]
    assert set(totals) == {sum(box.size for box in changed)}


def test_one_that_grew_too_much_is_built_anew_and_says_so(atlas, tmp_path):
    small = Box((2, 2, 4), (12, 14, 8))
    part = make_partial_atlas(tmp_path / "small", atlas.grid.voxels(small), atlas)
    first = build_index(part)
    more = _extended(part, atlas, SLICE)
    told = []

    second = build_index(more, tell=told.append)

    assert second.trained_at == second.locations == count_locations(more)
    assert second.note == ""
    assert told == [
        f"the index is built anew: the atlas has grown from {first.locations} locations, which "
        f"the index was trained for, to {second.locations:,}, more than 2 times as many"
    ]


def test_one_of_every_second_location_is_built_anew(part, atlas):
    build_index(part, every=2)
    more = _extended(part, atlas, SLICE)
    told = []

    second = build_index(more, tell=told.append)

    assert second.every == 2
    assert second.locations == count_locations(more)
    assert "every second location" in told[0]


@pytest.mark.parametrize("name", ["trained.faiss", "truth.npz", "shards.json"])
def test_what_cannot_be_added_to_for_damage_is_built_anew(part, atlas, name):
    build_index(part)
    (index_root(part) / "0001" / name).unlink()
    more = _extended(part, atlas, SLICE)
    told = []

    second = build_index(more, tell=told.append)

    assert second.count == count_locations(more)
    assert name in told[0]


def test_what_is_removed_stays_removed(part, atlas):
    build_index(part)
    gone = everything(part)[0][:50]
    remove(part, gone)

    more = _extended(part, atlas, SLICE)
    added = build_index(more)
    anew = build_index(more, rebuild=True)

    assert added.removed == anew.removed == 50
    np.testing.assert_array_equal(open_index(more).removed, np.sort(gone))
