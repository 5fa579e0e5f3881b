"""Tests of embed/inference.py: every location, once, whatever happens in between."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.checkpoint import FILE, random_encoder, save_encoder
from embed.dense import embed_cutout, embed_grid
from embed.errors import ConfigError, DataError, MismatchError, OutOfBoundsError
from embed.geometry import Box
from embed.inference import create_atlas, embed_volume, remaining, run_shard, verify
from embed.normaliser import measure

SLOW_WORKER = """
import sys, time
from pathlib import Path
from embed.atlas import Atlas
from embed.inference import embed_volume

def tell(shard, mark):
    print(shard.start, flush=True)
    time.sleep(0.5)

embed_volume(Atlas.open(Path(sys.argv[1])), progress=tell)
"""


def files(atlas):
    root = atlas.path / "embeddings.zarr"
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def lay_out(encoder, volume, path, **options):
    return create_atlas(encoder, volume, path, run="runs/test", **options)


@pytest.fixture(scope="module")
def whole(encoder, tissue_volume, tmp_path_factory):
    """The atlas of the tissue, undisturbed: 17 x 21 x 25 locations in 8 shards."""
    atlas = lay_out(encoder, tissue_volume, tmp_path_factory.mktemp("atlas") / "whole")
    assert embed_volume(atlas) == []
    return atlas


@pytest.fixture
def own(whole, tmp_path):
    """A copy of the atlas that a test may damage."""
    shutil.copytree(whole.path, tmp_path / "own")
    return Atlas.open(tmp_path / "own")


def test_an_atlas_holds_what_the_encoder_makes_of_each_field_of_view(whole, encoder, tissue_volume):
    _, expected = embed_grid(encoder, tissue_volume)
    normaliser = measure(tissue_volume)

    stored = whole.store.read(whole.store.cells)

    whole.require_complete()
    np.testing.assert_allclose(stored, expected, atol=1e-3)
    for cell in [(0, 0, 0), (3, 20, 7), (16, 15, 16), (16, 20, 24)]:
        fov = Box.of_shape(encoder.fov, tuple(2 * c for c in cell))
        alone = embed_cutout(encoder, tissue_volume.read(fov), normaliser)
        np.testing.assert_allclose(stored[cell], alone[0, 0, 0], atol=1e-3)


def test_a_position_in_nm_leads_to_the_field_of_view_around_it(whole, encoder, tissue_volume):
    box = Box.of_shape(encoder.fov, start=(10, 20, 30))
    centre_xyz = [(30 + 3.5) * 10, (20 + 3.5) * 10, (10 + 3.5) * 10]

    ids = whole.ids_at(np.array([centre_xyz]))

    alone = embed_cutout(encoder, tissue_volume.read(box), measure(tissue_volume))[0, 0, 0]
    np.testing.assert_allclose(whole.embeddings(ids)[0], alone, atol=1e-3)
    np.testing.assert_allclose(whole.positions_nm_xyz(ids)[0], centre_xyz)


def test_shards_that_lost_their_mark_are_done_again_to_the_bit(whole, own):
    before = files(own)
    gone = list(own.store.shards)[2:5]
    for shard in gone:
        own.ledger.forget(tuple(a // 16 for a in shard.start))

    done = []
    embed_volume(own, progress=lambda shard, _: done.append(shard))

    assert done == gone
    assert files(own) == before == files(whole)


def test_a_shard_can_be_run_from_its_path_alone(whole, own):
    shard = list(own.store.shards)[5]
    own.ledger.forget((1, 0, 1))

    mark = run_shard(own.path, shard)

    assert mark.state == "done"
    assert own.ledger.marks() == whole.ledger.marks()


def test_a_killed_run_goes_on_and_ends_the_same_to_the_bit(whole, encoder, tissue_volume, tmp_path):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "killed")
    command = [sys.executable, "-c", SLOW_WORKER, str(atlas.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as worker:
        assert worker.stdout is not None
        for _ in range(3):
            assert worker.stdout.readline()
        os.kill(worker.pid, signal.SIGKILL)
    finished = len(atlas.ledger.marks())

    redone = []
    embed_volume(atlas, progress=lambda shard, _: redone.append(shard))

    assert 3 <= finished < 8
    assert len(redone) == 8 - finished
    assert files(atlas) == files(whole)


def test_the_same_call_again_opens_the_unfinished_atlas(encoder, tissue_volume, tmp_path):
    first = lay_out(encoder, tissue_volume, tmp_path / "atlas")

    again = lay_out(encoder, tissue_volume, tmp_path / "atlas")

    assert again.info.created == first.info.created
    assert len(remaining(again)) == 8


def test_another_encoder_does_not_get_into_an_atlas(own, tiny, tissue_volume):
    other = random_encoder(tiny, seed=1)

    with pytest.raises(MismatchError, match=r"another atlas: its encoder is .*choose a new --out"):
        lay_out(other, tissue_volume, own.path)
    save_encoder(other, own.path / FILE)
    with pytest.raises(MismatchError, match=r"has fingerprint .* and the atlas was made"):
        embed_volume(own)


def test_voids_get_zero_vectors_and_are_counted(encoder, tissue, write_volume, tmp_path):
    voxels = tissue.copy()
    voxels[:, :, 40:] = 0  # locations from x cell 19 on see at least half of it
    atlas = lay_out(encoder, write_volume(voxels), tmp_path / "atlas")

    failed = embed_volume(atlas)

    lengths = np.linalg.norm(atlas.store.read(atlas.store.cells), axis=-1)
    void = lengths == 0
    assert failed == []
    assert void[:, :, 19:].all()
    assert not void[:, :, :18].any()
    np.testing.assert_allclose(lengths[~void], 1, atol=2e-3)
    assert sum(mark.voids for mark in atlas.ledger.marks().values()) == void.sum()


def test_a_shard_without_any_data_is_marked_and_not_written(
    encoder, tissue, write_volume, tmp_path
):
    voxels = tissue.copy()
    voxels[:, :, 32:] = 0
    atlas = lay_out(encoder, write_volume(voxels), tmp_path / "atlas")

    embed_volume(atlas)

    marks = atlas.ledger.marks()
    assert {shard for shard, mark in marks.items() if mark.state == "void"} == {
        (z, y, 1) for z in (0, 1) for y in (0, 1)
    }
    assert not (atlas.path / "embeddings.zarr" / "c" / "0" / "0" / "1").exists()
    assert verify(atlas) == []


def test_a_bad_chunk_fails_the_shards_that_see_it_and_mending_it_completes_the_atlas(
    whole, encoder, tissue, write_volume, tmp_path
):
    volume = write_volume(tissue)
    atlas = lay_out(encoder, volume, tmp_path / "atlas")
    chunk = tmp_path / "volume.zarr" / "c" / "2" / "2" / "3"
    good = chunk.read_bytes()
    chunk.write_bytes(good[:100])

    failed = embed_volume(atlas)

    # Voxels 32 to 40 are seen from cells 0 to 15 as well, whose fields of view reach to 37.
    assert {box.start for box, _ in failed} == {(z, y, 16) for z in (0, 16) for y in (0, 16)}
    assert len(atlas.ledger.marks()) == 8
    assert "cannot read" in failed[0][1].reason
    chunk.write_bytes(good)
    # Opened anew, as another run would: what failed to decode is not kept, but be sure.
    assert embed_volume(Atlas.open(atlas.path)) == []
    assert files(atlas) == files(whole)


def test_nan_fails_its_shards_and_says_so(encoder, tissue, write_volume, tmp_path):
    voxels = tissue.astype(np.float32)
    clean = write_volume(voxels)
    atlas = lay_out(encoder, clean, tmp_path / "atlas")
    voxels[2, 3, 4] = np.nan
    write_volume(voxels)

    failed = embed_volume(Atlas.open(atlas.path))

    assert [box.start for box, _ in failed] == [(0, 0, 0)]
    assert "NaN" in failed[0][1].reason


def test_a_wider_stride_takes_every_other_location(whole, encoder, tissue_volume, tmp_path):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "wide", stride=(4, 2, 6))

    embed_volume(atlas)

    native = whole.store.read(whole.store.cells)[::2, :, ::3]
    np.testing.assert_allclose(atlas.store.read(atlas.store.cells), native, atol=1e-3)


def test_a_box_gives_the_locations_inside_it(whole, encoder, tissue_volume, tmp_path):
    box = Box((10, 4, 6), (33, 40, 48))
    atlas = lay_out(encoder, tissue_volume, tmp_path / "box", box=box)

    embed_volume(atlas)

    native = whole.store.read(Box((5, 2, 3), (14, 17, 21)))
    np.testing.assert_allclose(atlas.store.read(atlas.store.cells), native, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"stride": (3, 2, 2)}, ConfigError, r"multiple of the encoder's, \(2, 2, 2\)"),
        ({"stride": (0, 2, 2)}, ConfigError, "multiple"),
        ({"box": Box((0, 0, 0), (41, 48, 56))}, OutOfBoundsError, "leaves the volume"),
        ({"box": Box((0, 0, 0), (6, 48, 56))}, OutOfBoundsError, "smaller than the field of view"),
    ],
)
def test_a_job_that_cannot_be_is_refused_before_anything_is_written(
    encoder, tissue_volume, tmp_path, options, error, words
):
    with pytest.raises(error, match=words):
        lay_out(encoder, tissue_volume, tmp_path / "atlas", **options)

    assert not (tmp_path / "atlas").exists()


def test_a_volume_of_another_voxel_size_is_refused_unless_asked_for(
    encoder, tissue, write_volume, tmp_path
):
    coarse = write_volume(tissue, voxel_size_nm=(40.0, 10.0, 10.0))

    with pytest.raises(MismatchError, match=r"10 x 10 x 40 nm \(XYZ\).*--any-voxel-size"):
        lay_out(encoder, coarse, tmp_path / "atlas")
    atlas = lay_out(encoder, coarse, tmp_path / "atlas", any_voxel_size=True)

    assert atlas.frame.voxel_size_nm == (40.0, 10.0, 10.0)


def test_a_constant_volume_is_refused(encoder, write_volume, tmp_path):
    flat = write_volume(np.full((20, 20, 20), 7, np.uint8))

    with pytest.raises(DataError, match="is constant"):
        lay_out(encoder, flat, tmp_path / "atlas")

    assert not (tmp_path / "atlas").exists()


def test_verify_finds_a_flipped_bit_and_the_next_run_mends_it(whole, own):
    shard = own.path / "embeddings.zarr" / "c" / "0" / "1" / "0" / "0"
    damaged = bytearray(shard.read_bytes())
    damaged[1000] ^= 1
    shard.write_bytes(damaged)

    bad = verify(own)

    assert [box.start for box in bad] == [(0, 16, 0)]
    embed_volume(own)
    assert files(own) == files(whole)
    assert verify(own) == []


def test_verify_recomputes_and_finds_embeddings_that_are_whole_but_wrong(own):
    first = next(own.store.shards)
    wrong = own.store.read(first)[::-1]
    own.ledger.forget((0, 0, 0))
    own.store.write(first, wrong)
    from embed.ledger import Mark
    from embed.storage import digest

    own.ledger.record((0, 0, 0), Mark("done", digest(wrong.astype(np.float16).tobytes()), 4096, 0))

    bad = verify(own, recompute=1)

    assert bad == [first]
