"""Tests of embed/inference.py: every location once, and nothing else."""

import numpy as np
import pytest
import tensorstore as ts

from embed.atlas import Atlas
from embed.audit import verify
from embed.checkpoint import load_encoder
from embed.dense import embed_cutout, embed_grid
from embed.geometry import Box
from embed.inference import embed_shards, remaining, run_shard
from embed.job import Job
from embed.normaliser import measure
from embed.storage import digest
from embed.volume import Volume
from tests.embed.eight_shards import SHARDS, assert_same, box_of, lay_out, shard_file

whole = Volume.read


@pytest.fixture(scope="module")
def finished(encoder, tissue_volume, tmp_path_factory):
    """The atlas of the tissue; not to be changed."""
    path = tmp_path_factory.mktemp("atlases") / "finished"
    atlas = lay_out(encoder, tissue_volume, path, run="runs/1")
    assert embed_shards(atlas) == []
    return atlas


def test_an_atlas_holds_the_embedding_of_every_location(finished, tissue_volume, backend):
    grid, expected = embed_grid(backend, tissue_volume)

    stored = finished.store.read(finished.store.cells)

    assert finished.grid == grid
    np.testing.assert_allclose(stored, expected, atol=6e-4)  # half a step of float16
    whole = embed_cutout(backend, tissue_volume.read(tissue_volume.box), measure(tissue_volume))
    np.testing.assert_allclose(stored, whole, atol=6e-4)


def test_every_shard_is_marked_with_the_digest_of_what_is_stored(finished):
    marks = finished.ledger.marks()

    assert sorted(marks) == SHARDS
    for index, mark in marks.items():
        box = box_of(finished, index)
        stored = finished.store.read(box).astype(np.float16)
        assert (mark.state, mark.locations, mark.voids) == ("done", box.size, 0)
        assert mark.digest == digest(stored.tobytes())
    finished.require_complete()
    assert remaining(finished) == []
    assert verify(finished, recompute=8) == []


def test_an_atlas_says_where_it_comes_from(finished, encoder, tissue_volume):
    info = finished.info

    assert info.encoder == encoder.fingerprint == load_encoder(finished.path).fingerprint
    assert info.volume == tissue_volume.source
    assert info.normaliser == measure(tissue_volume)
    assert (info.run, info.backend) == ("runs/1", "openvino-cpu-float32")
    assert info.versions.keys() == {"jax", "flax", "tensorstore", "openvino"}
    assert {mark.backend for mark in finished.ledger.marks().values()} == {info.backend}
    assert info.created.endswith("+00:00")


def test_progress_tells_of_every_shard_in_order(encoder, tissue_volume, tmp_path):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", stride=(4, 4, 4), run="r")
    seen = []

    embed_shards(atlas, progress=lambda box, mark: seen.append((box, mark)))

    assert [box for box, _ in seen] == list(atlas.store.shards)
    assert [mark for _, mark in seen] == list(atlas.ledger.marks().values())


def test_any_engine_may_run_the_shards_from_their_path_in_any_order_and_twice(
    encoder, tissue_volume, finished, tmp_path
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", run="elsewhere")
    shards = remaining(atlas)

    for shard in [*reversed(shards), shards[2]]:
        mark = run_shard(atlas.path, shard)
        assert mark.state == "done"

    assert_same(atlas, finished)


@pytest.fixture
def holed(tissue):
    """The tissue with a hole that takes the last shards along x whole, and half of others."""
    voxels = tissue.copy()
    voxels[:, :, 32:] = 0
    voxels[10:20, 10:20, 5:11] = 0
    return voxels


def test_what_is_mostly_missing_has_no_embedding(encoder, holed, write_volume, tmp_path):
    volume = write_volume(holed)
    atlas = lay_out(encoder, volume, tmp_path / "a", run="r")

    failed = embed_shards(atlas)

    missing = np.lib.stride_tricks.sliding_window_view(holed == 0, encoder.fov)[::2, ::2, ::2]
    void = missing.mean(axis=(3, 4, 5)) >= 0.5
    stored = atlas.store.read(atlas.store.cells)
    lengths = np.linalg.norm(stored, axis=-1)
    assert failed == []
    assert 0 < void[:, :, :16].mean() < 1
    np.testing.assert_array_equal(stored.any(axis=-1), ~void)
    np.testing.assert_allclose(lengths[~void], 1, atol=2e-3)
    for (z, y, x), mark in atlas.ledger.marks().items():
        box = box_of(atlas, (z, y, x))
        assert mark.voids == void[box.slices].sum()
        assert mark.state == ("void" if x == 1 else "done")
        assert shard_file(atlas, (z, y, x)).exists() == (x == 0)
    atlas.require_complete()
    assert verify(atlas, recompute=8) == []


def cut_chunk_short(path):
    chunk = path / "c" / "2" / "2" / "3"
    chunk.write_bytes(chunk.read_bytes()[:10])


def poison(path):
    store = ts.open({"driver": "zarr3", "kvstore": f"file://{path}/"}).result()
    store[36, 45, 54].write(np.nan).result()


@pytest.mark.parametrize(
    ("damage", "where", "words"),
    [
        (cut_chunk_short, Box((32, 32, 48), (40, 48, 56)), "of 'volume': Error reading local file"),
        (poison, Box((36, 45, 54), (37, 46, 55)), "1 values are NaN or infinite; replace them"),
    ],
)
def test_a_bad_chunk_fails_its_shards_alone_and_once_mended_they_are_done(
    encoder, tissue, write_volume, tmp_path, damage, where, words, backend
):
    voxels = tissue.astype(np.float32)
    atlas = lay_out(encoder, write_volume(voxels), tmp_path / "a", run="r")
    damage(tmp_path / "volume.zarr")
    touched = [b for b in atlas.store.shards if atlas.grid.voxels(b).intersection(where)]

    failed = embed_shards(atlas)
    marks = atlas.ledger.marks()
    volume = write_volume(voxels)
    again = Atlas.open(atlas.path)
    left = remaining(again)
    mended = embed_shards(again)

    assert 0 < len(touched) < 8
    assert [box for box, _ in failed] == left == touched
    assert all(words in mark.reason for _, mark in failed)
    states = [marks[index].state for index in SHARDS]
    assert states == ["failed" if box_of(atlas, i) in touched else "done" for i in SHARDS]
    assert mended == []
    again.require_complete()
    _, expected = embed_grid(backend, volume)
    np.testing.assert_allclose(again.store.read(again.store.cells), expected, atol=6e-4)


@pytest.mark.parametrize("stride", [(4, 2, 6), (2, 2, 40)])
def test_a_coarser_stride_gives_every_so_many_of_the_locations(
    encoder, tissue_volume, finished, tmp_path, stride
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", stride=stride, run="r")
    embed_shards(atlas)

    z, y, x = (s // 2 for s in stride)
    native = finished.store.read(finished.store.cells)[::z, ::y, ::x]
    np.testing.assert_allclose(atlas.store.read(atlas.store.cells), native, atol=1e-3)
    positions = atlas.positions_nm_xyz(np.arange(atlas.grid.size))
    ids = finished.ids_at(positions)
    np.testing.assert_allclose(finished.embeddings(ids), native.reshape(-1, 8))


def test_a_box_gives_its_part_of_the_locations(encoder, tissue_volume, finished, tmp_path):
    box = Box((2, 10, 20), (25, 31, 52))

    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", box=box, run="r")
    embed_shards(atlas)

    cells = Box((1, 5, 10), (10, 13, 23))
    stored = atlas.store.read(atlas.store.cells)
    part = finished.store.read(cells)
    assert atlas.grid == finished.grid
    np.testing.assert_allclose(stored[cells.slices], part, atol=1e-3)
    assert np.count_nonzero(stored.any(axis=-1)) == cells.size
    atlas.require_complete()


def test_a_shard_that_sees_much_is_read_in_parts(
    encoder, tissue_volume, finished, tmp_path, monkeypatch
):
    read = []
    monkeypatch.setattr("embed.job._READ", 4000)
    monkeypatch.setattr(Volume, "read", lambda self, box: read.append(box) or whole(self, box))
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a")
    job, (shard, *_) = Job.open(atlas), atlas.shards
    read.clear()

    failed = embed_shards(atlas)

    assert failed == []
    assert len(read) > 2 * len(atlas.shards)
    assert max(box.size for box in read) <= 4000
    assert sum(part.size for part in job.parts(shard)) == shard.size
    stored, expected = (a.store.read(a.store.cells) for a in (atlas, finished))
    np.testing.assert_allclose(stored, expected, atol=1e-3)
