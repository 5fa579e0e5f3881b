"""What dense inference survives: disks and files that fail it."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.checkpoint import FILE, random_like, save_encoder
from embed.embeddings import EmbeddingStore
from embed.errors import DataError, MismatchError, NotFoundError, StorageError
from embed.inference import embed_shards, remaining, run_shard
from tests.embed.small_shards import assert_same, lay_out, stored_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(encoder, tissue_volume, tmp_path_factory):
    """The atlas of the tissue in 36 shards; not to be changed."""
    atlas = lay_out(encoder, tissue_volume, tmp_path_factory.mktemp("atlases") / "finished")
    assert embed_shards(atlas) == []
    return atlas


@pytest.fixture
def begun(encoder, tissue_volume, tmp_path):
    """The same, of which nothing is done yet."""
    return lay_out(encoder, tissue_volume, tmp_path / "begun")


@contextlib.contextmanager
def files_up_to(size):
    """Nothing larger can be written, as on a disk that is full."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


# One byte; the description but not the array's metadata or the encoder; all but the encoder.
@pytest.mark.parametrize("size", [1, 1900, 3000])
def test_a_disk_that_is_full_while_an_atlas_is_laid_out_is_said_and_it_can_be_laid_out_later(
    encoder, tissue_volume, finished, tmp_path, size
):
    with files_up_to(size), pytest.raises(StorageError, match="cannot write .*larger than the sys"):
        lay_out(encoder, tissue_volume, tmp_path / "a")

    atlas = lay_out(encoder, tissue_volume, tmp_path / "a")
    embed_shards(atlas)
    assert_same(atlas, finished)


def test_a_disk_that_is_full_before_a_mark_leaves_its_shard_to_be_done_again(
    begun, finished, monkeypatch
):
    write, limits = EmbeddingStore.write, contextlib.ExitStack()

    def write_and_fill_the_disk(store, box, embeddings):
        write(store, box, embeddings)
        limits.enter_context(files_up_to(10))

    with monkeypatch.context() as patched, limits:
        patched.setattr(EmbeddingStore, "write", write_and_fill_the_disk)
        with pytest.raises(StorageError, match="cannot write the ledger at .*larger than the sys"):
            embed_shards(begun)
    stored, marks, left = stored_files(begun), begun.ledger.marks(), remaining(begun)
    embed_shards(begun)

    assert list(stored) == [(0, 0, 0)]
    assert marks == {}
    assert left == list(begun.shards)
    assert_same(begun, finished)


# Fills the only megabyte of a disk of its own, makes room, forbids writing and allows it again.
DISK = """
mount -t tmpfs -o size=1m none {disk} || exit 77
cp -r {atlas} {disk}/a && head -c 1m /dev/zero > {disk}/ballast
{embed} {disk}/a && exit 1
rm {disk}/ballast && mount -o remount,ro {disk} || exit 1
{embed} {disk}/a && exit 1
mount -o remount,rw {disk} && {embed} {disk}/a && cp -r {disk}/a {atlas}-after
"""
EMBED = "import sys, pathlib, embed.atlas as a, embed.inference as i; " + (
    "i.embed_shards(a.Atlas.open(pathlib.Path(sys.argv[1])))"
)


@pytest.mark.slow
def test_a_full_and_a_read_only_disk_are_said_and_the_job_goes_on_when_it_may(
    begun, finished, tmp_path
):
    (tmp_path / "disk").mkdir()
    embed = f"{sys.executable} -c '{EMBED}'"
    script = DISK.format(disk=tmp_path / "disk", atlas=begun.path, embed=embed)
    if shutil.which("unshare") is None:
        pytest.skip("no unshare, so no disk of its own")
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    if run.returncode == 77 or "unshare failed" in run.stderr:
        pytest.skip("may not mount a disk of its own")

    said = [line for line in run.stderr.splitlines() if "StorageError: " in line]
    assert run.returncode == 0, run.stderr
    assert [any(words in line for line in said) for words in ("no space left", "read-only")] == [
        True,
        True,
    ]
    assert_same(Atlas.open(tmp_path / "begun-after"), finished)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_may_not_be_written_to_is_said(begun, finished):
    folders = [begun.path / "embeddings.zarr", begun.path / "ledger"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o500)
    with pytest.raises(StorageError, match="permission denied; choose a place"):
        embed_shards(begun)

    for folder in folders:
        folder.chmod(0o700)
    embed_shards(begun)

    assert_same(begun, finished)


def test_a_ledger_that_vanishes_takes_only_what_it_knew_with_it(begun, finished):
    seen = []

    def lose_the_ledger(shard, mark):
        seen.append(shard)
        if len(seen) == 20:
            shutil.rmtree(begun.path / "ledger")

    embed_shards(begun, progress=lose_the_ledger)
    left = remaining(begun)
    embed_shards(begun)

    assert len(seen) == 36
    assert set(seen[:19]) <= set(left) <= set(seen[:22])
    assert_same(begun, finished)


def test_a_store_that_vanishes_is_found_by_verifying_and_made_anew(begun, finished):
    embed_shards(begun)
    shutil.rmtree(begun.path / "embeddings.zarr")

    atlas = Atlas.open(begun.path)
    bad = verify(atlas)
    embed_shards(atlas)

    assert bad == list(atlas.shards)
    assert_same(atlas, finished)


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-100])


def empty(file):
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (Path.unlink, NotFoundError, "no encoder at"),
        (flip_a_byte, DataError, "is damaged|is not an encoder"),
        (cut_short, DataError, "is not an encoder of format"),
        (empty, DataError, "is not an encoder of format"),
    ],
)
def test_an_encoder_that_is_lost_or_damaged_half_way_stops_the_job_until_it_is_laid_out_again(
    encoder, tissue_volume, begun, finished, damage, kind, words
):
    todo = remaining(begun)
    for shard in todo[:5]:
        run_shard(begun.path, shard)
    damage(begun.path / FILE)
    half = begun.ledger.marks()

    for use in (embed_shards, verify):
        with pytest.raises(kind, match=words):
            use(Atlas.open(begun.path))
    assert begun.ledger.marks() == half
    again = lay_out(encoder, tissue_volume, begun.path)
    embed_shards(again)

    assert len(half) == 5
    assert_same(again, finished)


def test_an_encoder_that_is_replaced_half_way_stops_the_job_and_no_shard_has_its_embeddings(
    encoder, begun, finished
):
    swapped = []

    def swap(_shard, _mark):
        save_encoder(random_like(encoder, seed=1), begun.path / FILE)
        swapped.append(len(remaining(begun)))
        if len(swapped) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_shards(begun, progress=swap)
    with pytest.raises(MismatchError, match="has fingerprint .* restore"):
        embed_shards(begun)
    save_encoder(encoder, begun.path / FILE)
    embed_shards(begun)

    assert_same(begun, finished)


def test_verifying_while_the_volume_cannot_be_read_takes_no_mark_away(
    encoder, tissue, write_volume, tmp_path
):
    atlas = lay_out(encoder, write_volume(tissue), tmp_path / "a")
    embed_shards(atlas)
    before = atlas.ledger.marks()
    for chunk in (tmp_path / "volume.zarr" / "c").rglob("*"):
        chunk.is_file() and chunk.write_bytes(b"cut short")

    with pytest.raises(DataError, match="cannot compute .* again: cannot read"):
        verify(Atlas.open(atlas.path), recompute=2)

    assert atlas.ledger.marks() == before
    assert verify(atlas, recompute=0) == []
