"""Tests of embed/audit.py: which differences count, and which do not."""

import dataclasses
import shutil

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.geometry import Box
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining
from embed.job import Job
from embed.layout import Wanted
from embed.storage import digest
from tests.embed.conftest import store_volume

SHARD = Box((0, 8, 16), (8, 16, 24))


@pytest.fixture(scope="module", params=["float16", "int8"])
def finished(encoder, tissue, tmp_path_factory, request):
    """An atlas of the tissue with a hole; not to be changed."""
    folder = tmp_path_factory.mktemp(request.param)
    voxels = tissue.copy()
    voxels[:, 20:30, 40:48] = 0
    wanted = Wanted(shard=(8, 8, 8), store=request.param)
    volume = store_volume(folder / "volume.zarr", voxels)
    atlas = create_atlas(encoder, volume, folder / "a", wanted, run="r")
    assert embed_shards(atlas) == []
    return atlas


@pytest.fixture
def own(finished, tmp_path):
    """A copy of it."""
    return Atlas.open(shutil.copytree(finished.path, tmp_path / "own"))


def put(atlas, stored):
    """Stores other numbers in the shard as if they had been computed."""
    index = atlas.shard_index(SHARD)
    mark = atlas.ledger.mark(index)
    atlas.store.write(SHARD, stored)
    atlas.ledger.forget(index)
    atlas.ledger.record(index, dataclasses.replace(mark, digest=digest(stored.tobytes())))


def everything_recomputed(atlas):
    return verify(Atlas.open(atlas.path), recompute=len(atlas.shards))


def test_the_last_bits_of_another_machine_are_no_disagreement(own):
    before = own.store.read_stored(SHARD)
    rounded = np.where(np.arange(before.size).reshape(before.shape) % 7, 0, 1)
    bits = before.view(np.int16 if before.itemsize == 2 else np.int8)
    other = np.where(before.any(axis=-1, keepdims=True), bits ^ rounded, bits).astype(bits.dtype)
    put(own, other.view(before.dtype))

    bad = everything_recomputed(own)

    assert not np.array_equal(own.store.read_stored(SHARD), before)
    assert bad == []
    assert remaining(own) == []


def swap_two(stored):
    stored[0, 0, 0], stored[7, 7, 7] = stored[7, 7, 7].copy(), stored[0, 0, 0].copy()


def forget_one(stored):
    stored[7, 7, 7] = 0


def embed_a_void(stored):
    void = np.argwhere(~stored.any(axis=-1))[0]
    stored[tuple(void)] = stored[7, 7, 7]


def lean_one(stored):
    """Turns a vector by about two degrees."""
    vector = stored[7, 7, 7].astype(float)
    aside = np.roll(vector, 1) - vector * (np.roll(vector, 1) @ vector) / (vector @ vector)
    turned = vector + 0.035 * aside / np.linalg.norm(aside) * np.linalg.norm(vector)
    stored[7, 7, 7] = np.rint(turned) if stored.dtype == np.int8 else turned


@pytest.mark.parametrize("mistake", [swap_two, forget_one, embed_a_void, lean_one])
def test_a_single_wrong_location_of_a_shard_is_found_by_computing_it_again(own, finished, mistake):
    stored = own.store.read_stored(SHARD)
    mistake(stored)
    put(own, stored)

    unseen, bad = verify(own, recompute=0), everything_recomputed(own)
    left = remaining(own)
    embed_shards(own)

    assert unseen == []
    assert bad == left == [SHARD]
    np.testing.assert_array_equal(
        own.store.read_stored(own.store.cells), finished.store.read_stored(own.store.cells)
    )


def test_as_many_shards_are_recomputed_as_are_asked_for_spread_over_the_atlas(own, monkeypatch):
    read, seen = Job.read, []

    def noted(job, shard):
        seen.append(shard)
        return read(job, shard)

    monkeypatch.setattr(Job, "read", noted)
    for count in (0, 1, 4, 99):
        seen.clear()

        verify(own, recompute=count)

        assert len(seen) == min(count, 36)
        assert len({box.start for box in seen}) == len(seen)
    assert seen == list(own.shards)


def test_an_atlas_of_which_nothing_is_done_has_nothing_wrong(own):
    for shard in own.shards:
        own.ledger.forget(own.shard_index(shard))

    assert verify(own, recompute=4) == []
