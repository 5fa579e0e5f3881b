"""Tests of embed/inference.py: what was cut short, lost or changed is done again, and only that."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.backends.choice import open_backend
from embed.checkpoint import FILE, random_like, save_encoder
from embed.dense import embed_grid
from embed.errors import MismatchError, NotFoundError, StorageError
from embed.geometry import Box
from embed.inference import embed_shards, remaining, run_shard
from embed.storage import digest
from tests.embed.eight_shards import SHARDS, assert_same, box_of, lay_out, shard_file, shard_files

ROOT = Path(__file__).parents[2]


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
