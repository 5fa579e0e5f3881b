"""Shards that are done side by side, as where a GPU computes faster than a thread reads for it."""

import threading

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.backends.xla import XlaBackend
from embed.errors import DataError
from embed.geometry import Box
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining
from embed.layout import Wanted
from embed.volume import Volume

LANES = 3
read = Volume.read


def lay_out(encoder, volume, path):
    wanted = Wanted(shard=(16, 16, 16), backend="xla")
    return create_atlas(encoder, volume, path, wanted, run="r")


@pytest.fixture(scope="module")
def in_a_row(encoder, tissue_volume, tmp_path_factory):
    """The atlas of the tissue, one shard after the other; not to be changed."""
    atlas = lay_out(encoder, tissue_volume, tmp_path_factory.mktemp("atlases") / "a")
    assert embed_shards(atlas) == []
    return atlas


def counted(run, seen):
    """The same, and in `seen` for each call how many were under way when it began."""
    lock, inside = threading.Lock(), []

    def call(*args, **kwargs):
        with lock:
            inside.append(None)
            seen.append(len(inside))
        try:
            return run(*args, **kwargs)
        finally:
            with lock:
                inside.pop()

    return call


@pytest.fixture
def lanes(monkeypatch):
    """A backend that takes three calls at once, and for each how many were under way."""
    seen = []
    monkeypatch.setattr(XlaBackend, "parallel", LANES)
    monkeypatch.setattr(XlaBackend, "__call__", counted(XlaBackend.__call__, seen))
    return seen


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("voxkin-shard")]


@pytest.mark.usefixtures("lanes")
def test_they_are_those_done_in_a_row_and_told_in_order(encoder, tissue_volume, tmp_path, in_a_row):
    atlas, told = lay_out(encoder, tissue_volume, tmp_path / "a"), []

    failed = embed_shards(atlas, progress=lambda shard, mark: told.append((shard, mark.state)))

    assert failed == []
    assert told == [(shard, "done") for shard in atlas.shards]
    assert atlas.ledger.marks() == in_a_row.ledger.marks()
    cells = atlas.store.cells
    np.testing.assert_array_equal(atlas.store.read(cells), in_a_row.store.read(cells))
    assert not threads()


def test_several_are_computed_at_once(encoder, tissue_volume, tmp_path, lanes):
    embed_shards(lay_out(encoder, tissue_volume, tmp_path / "a"))

    assert 1 < max(lanes)


@pytest.mark.usefixtures("lanes")
def test_a_shard_that_cannot_be_read_fails_alone_and_is_done_once_it_can(
    encoder, tissue_volume, tmp_path, in_a_row, monkeypatch
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a")
    bad = atlas.grid.voxels(atlas.shards[2])

    def fail(self: Volume, box: Box) -> np.ndarray:
        if box == bad:
            raise DataError("a chunk is corrupt")
        return read(self, box)

    with monkeypatch.context() as broken:
        broken.setattr(Volume, "read", fail)
        failed = embed_shards(atlas)
    left = remaining(Atlas.open(atlas.path))
    mended = embed_shards(atlas)

    assert [(shard, mark.reason) for shard, mark in failed] == [
        (atlas.shards[2], "a chunk is corrupt")
    ]
    assert left == [atlas.shards[2]]
    assert mended == []
    assert atlas.ledger.marks() == in_a_row.ledger.marks()


@pytest.mark.usefixtures("lanes")
def test_who_stops_midway_leaves_no_thread_and_goes_on_with_what_is_missing(
    encoder, tissue_volume, tmp_path, in_a_row
):
    atlas, told = lay_out(encoder, tissue_volume, tmp_path / "a"), []

    def stop_at_two(shard, _mark):
        told.append(shard)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_shards(atlas, progress=stop_at_two)

    assert not threads()
    assert remaining(atlas) == [*atlas.shards[2:]]
    assert embed_shards(atlas) == []
    assert atlas.ledger.marks() == in_a_row.ledger.marks()


def test_a_device_holds_no_more_blocks_than_it_is_meant_to(encoder, monkeypatch):
    monkeypatch.setattr(XlaBackend, "parallel", 2)
    backend, seen = XlaBackend(encoder, "float32"), []
    run = counted(encoder.run, seen)
    monkeypatch.setattr(type(encoder), "run", property(lambda _: run))
    block = np.zeros((1, *encoder.config.voxels((2, 2, 2))), np.float32)
    many = [threading.Thread(target=backend, args=(block,)) for _ in range(8)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()

    assert len(seen) == 8
    assert max(seen) <= 2
