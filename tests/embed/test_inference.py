"""Tests of embed/inference.py: every location once, whatever happens on the way."""

import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from embed.atlas import Atlas
from embed.audit import verify
from embed.backends.choice import open_backend
from embed.checkpoint import FILE, load_encoder, random_like, save_encoder
from embed.dense import embed_cutout, embed_grid
from embed.errors import (
    ConfigError,
    DataError,
    MismatchError,
    NotFoundError,
    OutOfBoundsError,
    StorageError,
)
from embed.geometry import Box
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining, run_shard
from embed.job import Job
from embed.layout import Wanted
from embed.normaliser import measure
from embed.storage import digest
from embed.volume import Volume, open_volume

ROOT = Path(__file__).parents[2]
whole = Volume.read
SHARDS = [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)]
"""The shards, of 16 cells an edge, of the 17 x 21 x 25 locations of the tissue."""


def lay_out(encoder, volume, path, run="r", **wanted):
    """An atlas in shards of 16 cells an edge, small as the volume is."""
    return create_atlas(encoder, volume, path, Wanted(shard=(16, 16, 16), **wanted), run=run)


@pytest.fixture(scope="module")
def finished(encoder, tissue_volume, tmp_path_factory):
    """The atlas of the tissue; not to be changed."""
    path = tmp_path_factory.mktemp("atlases") / "finished"
    atlas = lay_out(encoder, tissue_volume, path, run="runs/1")
    assert embed_shards(atlas) == []
    return atlas


@pytest.fixture
def own(finished, tmp_path):
    """A copy of the finished atlas."""
    return Atlas.open(shutil.copytree(finished.path, tmp_path / "own"))


def shard_files(atlas):
    """What is stored, by name; a lock that a killed process left is nothing stored."""
    root = atlas.path / "embeddings.zarr"
    files = [f for f in root.rglob("*") if f.is_file() and not f.name.endswith("__lock")]
    return {str(f.relative_to(root)): f.read_bytes() for f in files}


def shard_file(atlas, index):
    return atlas.path / "embeddings.zarr" / "c" / "/".join(map(str, index)) / "0"


def box_of(atlas, index):
    return next(
        box for box in atlas.store.shards if tuple(a // 16 for a in box.start) == tuple(index)
    )


def assert_same(atlas, other):
    """Both hold the same bytes and the same marks."""
    assert shard_files(atlas) == shard_files(other)
    assert atlas.ledger.marks() == other.ledger.marks()


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


def test_the_licence_and_source_of_a_volume_are_kept(encoder, tmp_path):
    volume = open_volume(ROOT / "embed" / "sample" / "fib25.zarr")

    atlas = lay_out(encoder, volume, tmp_path / "a", box=Box.of_shape((9, 9, 9)), run="r")

    assert atlas.info.attribution["license"] == "CC BY 3.0"
    assert "Takemura" in atlas.info.attribution["source"]


def test_progress_tells_of_every_shard_in_order(encoder, tissue_volume, tmp_path):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", stride=(4, 4, 4), run="r")
    seen = []

    embed_shards(atlas, progress=lambda box, mark: seen.append((box, mark)))

    assert [box for box, _ in seen] == list(atlas.store.shards)
    assert [mark for _, mark in seen] == list(atlas.ledger.marks().values())


def test_running_again_does_only_what_is_missing_and_gives_the_same_bytes(own, finished):
    lost = [(0, 0, 0), (0, 1, 1), (1, 1, 1)]
    for index in lost:
        own.ledger.forget(index)
        shard_file(own, index).unlink()
    shard_file(own, (1, 1, 1)).write_bytes(b"half a shard")
    seen = []

    failed = embed_shards(own, progress=lambda box, _: seen.append(box))

    assert failed == []
    assert seen == [box_of(own, index) for index in lost]
    assert_same(own, finished)


def test_any_engine_may_run_the_shards_from_their_path_in_any_order_and_twice(
    encoder, tissue_volume, finished, tmp_path
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", run="elsewhere")
    shards = remaining(atlas)

    for shard in [*reversed(shards), shards[2]]:
        mark = run_shard(atlas.path, shard)
        assert mark.state == "done"

    assert_same(atlas, finished)


# Tells of every shard; after the third it waits to be killed.
CHILD = """
import sys, time
from pathlib import Path
from embed.atlas import Atlas
from embed.inference import embed_shards

done = []

def progress(box, mark):
    done.append(box)
    print(mark.state, flush=True)
    if len(done) == 3:
        time.sleep(600)

if __name__ == "__main__":
    embed_shards(Atlas.open(Path(sys.argv[1])), progress=progress)
"""


def test_a_killed_process_goes_on_without_doing_anything_twice(
    encoder, tissue_volume, finished, tmp_path
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", run="runs/1")
    (tmp_path / "child.py").write_text(CHILD)
    command = [sys.executable, tmp_path / "child.py", atlas.path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        said = [child.stdout.readline().strip() for _ in range(3)]
        child.kill()
    kept = shard_files(atlas)
    written = {name: (atlas.path / "embeddings.zarr" / name).stat().st_mtime_ns for name in kept}
    again = lay_out(encoder, tissue_volume, atlas.path, run="runs/1")
    seen = []

    embed_shards(again, progress=lambda box, _: seen.append(box))

    assert said == ["done"] * 3
    assert len(kept) == 1 + 3  # zarr.json and the shards
    assert seen == [box_of(atlas, index) for index in SHARDS[3:]]
    for name, when in written.items():
        assert (atlas.path / "embeddings.zarr" / name).stat().st_mtime_ns == when
    assert_same(again, finished)


def test_a_full_disk_is_said_and_the_job_goes_on_once_there_is_room(
    encoder, tissue_volume, finished, tmp_path
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", run="runs/1")
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    try:
        with pytest.raises(StorageError, match="cannot write the embeddings at .*; free|allows"):
            embed_shards(
                atlas,
                progress=lambda *_: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard)),
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    kept = sorted(atlas.ledger.marks())
    embed_shards(atlas)

    assert kept == SHARDS[:1]
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


def test_a_volume_that_starts_at_negative_voxels_has_the_right_places(
    encoder, tissue, tmp_path, backend
):
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": f"file://{tmp_path}/volume/",
        "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
        "scale_metadata": {
            "resolution": [10, 10, 10],
            "size": [24, 20, 18],
            "voxel_offset": [-100, 40, -7],
            "encoding": "raw",
            "chunk_size": [16, 16, 16],
        },
    }
    part = tissue[:18, :20, :24]
    ts.open(spec, create=True).result()[..., 0].write(part.T).result()
    volume = open_volume(f"precomputed://file://{tmp_path}/volume")

    atlas = lay_out(encoder, volume, tmp_path / "a", run="r")
    embed_shards(atlas)

    assert atlas.grid.start == (-7, 40, -100)
    first, second = atlas.positions_nm_xyz(np.array([0, 1]))
    np.testing.assert_allclose(first, [-965, 435, -35])
    np.testing.assert_allclose(second, [-945, 435, -35])
    assert atlas.ids_at(np.array([[-964.0, 436.0, -36.0]])).tolist() == [0]
    whole = embed_cutout(backend, part, measure(volume))
    np.testing.assert_allclose(atlas.store.read(atlas.store.cells), whole, atol=6e-4)


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"stride": (2, 3, 2)}, ConfigError, r"a multiple of the encoder's, \(2, 2, 2\) voxels"),
        ({"stride": (2, 2, 0)}, ConfigError, "a multiple of the encoder's"),
        ({"box": Box((0, 0, 0), (41, 48, 56))}, OutOfBoundsError, "leaves the volume, which is"),
        ({"box": Box((0, 0, 0), (6, 48, 56))}, OutOfBoundsError, r"at least \(7, 7, 7\) voxels"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_and_nothing_is_written(
    encoder, tissue_volume, tmp_path, settings, kind, words
):
    with pytest.raises(kind, match=words):
        lay_out(encoder, tissue_volume, tmp_path / "a", run="r", **settings)

    assert not (tmp_path / "a").exists()


def test_a_volume_smaller_than_the_field_of_view_is_refused_by_name(
    encoder, tissue, write_volume, tmp_path
):
    volume = write_volume(tissue[:, :6])

    with pytest.raises(OutOfBoundsError, match=r"volume: a box of \(40, 6, 56\) voxels .ZYX. is"):
        lay_out(encoder, volume, tmp_path / "a", run="r")


def test_an_encoder_of_masked_fields_of_view_makes_no_dense_atlas(encoder, tissue_volume, tmp_path):
    masked = dataclasses.replace(encoder, masked=True)

    with pytest.raises(MismatchError, match="masked to one segment, and a dense run shows all"):
        lay_out(masked, tissue_volume, tmp_path / "a", run="r")

    assert not (tmp_path / "a").exists()


def test_another_voxel_size_is_refused_unless_it_is_wanted(encoder, tissue, write_volume, tmp_path):
    volume = write_volume(tissue, (20.0, 10.0, 10.0))

    with pytest.raises(MismatchError, match="voxels of 10 x 10 x 20 nm .*--any-voxel-size"):
        lay_out(encoder, volume, tmp_path / "a", run="r")
    atlas = lay_out(encoder, volume, tmp_path / "a", run="r", any_voxel_size=True)

    assert atlas.frame.voxel_size_nm == (20.0, 10.0, 10.0)


def test_a_volume_of_no_use_is_refused(encoder, write_volume, tmp_path):
    volume = write_volume(np.full((20, 20, 20), 5, np.uint8))

    with pytest.raises(DataError, match="volume is constant"):
        lay_out(encoder, volume, tmp_path / "a", run="r")


def test_another_job_in_its_place_is_refused(encoder, tissue_volume, own):
    with pytest.raises(MismatchError, match="holds another atlas: its grid is"):
        lay_out(encoder, tissue_volume, own.path, run="runs/1", stride=(4, 4, 4))
    with pytest.raises(MismatchError, match="its encoder is"):
        lay_out(random_like(encoder, seed=1), tissue_volume, own.path, run="runs/1")


def flip_a_byte(atlas, index):
    file = shard_file(atlas, index)
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def lose(atlas, index):
    shard_file(atlas, index).unlink()


def replace(atlas, index):
    """With vectors of another place, checksums and all."""
    box = box_of(atlas, index)
    atlas.store.write(box, np.flip(atlas.store.read(box), axis=2))


@pytest.mark.parametrize("damage", [flip_a_byte, lose, replace])
def test_a_stored_shard_that_has_changed_is_found_and_done_again(own, finished, damage):
    damage(own, (0, 1, 0))

    bad = verify(own)
    left = remaining(own)
    embed_shards(own)

    assert bad == left == [box_of(own, (0, 1, 0))]
    assert_same(own, finished)
    assert verify(own) == []


def test_a_shard_that_was_computed_wrongly_is_found_by_computing_it_again(own, finished):
    index = (1, 0, 1)
    replace(own, index)
    entry = own.path / "ledger" / "1.0.1.json"
    mark = json.loads(entry.read_text())
    mark["digest"] = digest(own.store.read(box_of(own, index)).astype(np.float16).tobytes())
    entry.write_text(json.dumps(mark))

    unseen = verify(own, recompute=0)
    bad = verify(own, recompute=8)
    embed_shards(own)

    assert unseen == []
    assert bad == [box_of(own, index)]
    assert_same(own, finished)


def test_an_encoder_that_does_not_belong_to_the_atlas_is_refused(own, encoder):
    save_encoder(random_like(encoder, seed=1), own.path / FILE)
    own.ledger.forget((0, 0, 0))

    for use in (embed_shards, verify, lambda atlas: run_shard(atlas.path, remaining(atlas)[0])):
        with pytest.raises(MismatchError, match="the encoder in .* has fingerprint .* restore"):
            use(own)


def test_an_atlas_without_its_encoder_says_so_and_gets_it_by_laying_it_out_again(
    own, encoder, tissue_volume
):
    (own.path / FILE).unlink()

    with pytest.raises(NotFoundError, match="no encoder at"):
        verify(own)
    lay_out(encoder, tissue_volume, own.path, run="runs/1")

    assert verify(own) == []


def test_a_new_atlas_at_an_old_place_uses_its_own_encoder(encoder, tissue_volume, tmp_path):
    box = Box.of_shape((20, 20, 20))
    other = random_like(encoder, seed=1)
    path = tmp_path / "a"
    for each in (encoder, other):
        shutil.rmtree(path, ignore_errors=True)
        atlas = lay_out(each, tissue_volume, path, box=box, run="r")
        run_shard(path, remaining(atlas)[0])
        embed_shards(atlas)

    _, expected = embed_grid(open_backend(other), tissue_volume, box)
    np.testing.assert_allclose(atlas.store.read(Box.of_shape((7, 7, 7))), expected, atol=6e-4)


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
