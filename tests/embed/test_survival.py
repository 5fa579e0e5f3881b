"""What dense inference survives: being killed, company, and disks and files that fail it."""

import contextlib
import functools
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.checkpoint import FILE, random_like, save_encoder
from embed.embeddings import EmbeddingStore
from embed.errors import DataError, MismatchError, NotFoundError, StorageError
from embed.geometry import Box
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining, run_shard
from embed.layout import Wanted
from tests.embed import survivor

ROOT = Path(__file__).parents[2]
# Forked where all is imported and nothing runs yet: a new interpreter would take two seconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.embed.survivor"])


def lay_out(encoder, volume, path, *, extend=False, shard=(8, 8, 8), **wanted):
    return create_atlas(
        encoder, volume, path, Wanted(shard=shard, **wanted), run="r", extend=extend
    )


def stored_files(atlas):
    """The files of the shards, by shard; a lock that a killed process left is none."""
    root = atlas.path / "embeddings.zarr" / "c"
    files = (f for f in root.rglob("*") if f.is_file() and f.name.isdigit())
    return {tuple(map(int, f.relative_to(root).parts[:3])): f for f in files}


def assert_same(atlas, other):
    """Both hold the same bytes and the same marks."""
    mine, theirs = stored_files(atlas), stored_files(other)
    assert mine.keys() == theirs.keys()
    assert all(mine[shard].read_bytes() == theirs[shard].read_bytes() for shard in mine)
    assert atlas.ledger.marks() == other.ledger.marks()


class Survivor:
    """A process that embeds an atlas; see `tests.embed.survivor`."""

    def __init__(self, path):
        self.pipe, end = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=survivor.embed, args=(path, end))
        self.process.start()
        end.close()  # so that its death is the end of what can be heard
        self.said = []

    def hear(self, word):
        """Waits until it says a word, and gives back what it says of it."""
        while not self.said or self.said[-1][0] != word:
            self.said.append(self.pipe.recv())
        return self.said[-1][1]

    def hear_next(self, word):
        """Waits until it says a word once more."""
        self.said.append(self.pipe.recv())
        self.hear(word)

    def go_on(self):
        """Lets it go on with the atlas that it opened."""
        self.hear("open")
        self.pipe.send("go on")

    def kill(self):
        """Kills it; its exit code."""
        self.process.kill()
        self.process.join(60)
        return self.process.exitcode

    def end(self):
        """Waits for its end; how many shards failed."""
        failed = self.hear("end")
        self.process.join(60)
        assert self.process.exitcode == 0
        return failed

    @property
    def shards(self):
        """What it said that it had done."""
        return [about for word, about in self.said if word == "done"]


@pytest.fixture
def start():
    """Starts processes, none of which outlives the test."""
    with contextlib.ExitStack() as stack:

        def started(path):
            child = Survivor(path)
            stack.callback(child.kill)
            return child

        yield started


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


def traces(atlas):
    """Of every shard with a mark: which files hold it and its mark, and since when."""
    marks, files = atlas.ledger.marks(), stored_files(atlas)
    found = {}
    for shard in marks:
        entry = atlas.path / "ledger" / "{}.{}.{}.json".format(*shard)
        found[shard] = [(f.stat().st_ino, f.stat().st_mtime_ns) for f in (files[shard], entry)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kills", [8, pytest.param(20, marks=pytest.mark.long)])
def test_a_job_that_is_killed_many_times_does_every_shard_once_and_ends_as_if_undisturbed(
    encoder, tissue_volume, start, tmp_path, kills
):
    small = functools.partial(lay_out, encoder, tissue_volume, shard=(4, 4, 4))
    undisturbed, atlas = small(tmp_path / "undisturbed"), small(tmp_path / "killed")
    alone = start(undisturbed.path)
    alone.go_on()
    alone.hear("done")
    began = time.monotonic()
    alone.end()
    # Each after so many shards, and some part of what the next ones take.
    rng, a_shard_s = np.random.default_rng(0), (time.monotonic() - began) / 210

    done, kept = [], {}
    for shards in rng.integers(1, 9, kills):
        child = start(atlas.path)
        child.go_on()
        for _ in range(shards):
            child.hear_next("done")
        time.sleep(rng.uniform(0, 2 * a_shard_s))
        assert child.kill() == -signal.SIGKILL
        now = traces(atlas)
        assert kept.items() <= now.items(), "what was done stays as it is"
        done.append(len(now))
        kept = now
    last = start(atlas.path)
    last.go_on()
    last.end()

    assert len(undisturbed.shards) == 210
    assert done == sorted(done)
    assert done[-1] < 210, "the kills fell into the work"
    assert len(set(done)) > kills / 2, "and it went on between them"
    assert len(last.shards) == 210 - done[-1]
    assert kept.items() <= traces(atlas).items()
    assert_same(atlas, undisturbed)
    assert verify(atlas, recompute=5) == []


def test_two_processes_at_one_atlas_agree(start, begun, finished):
    both = [start(begun.path) for _ in range(2)]
    for child in both:
        child.go_on()

    failed = [child.end() for child in both]

    assert failed == [0, 0]
    assert all(child.shards for child in both)
    assert_same(begun, finished)
    assert verify(begun, recompute=99) == []


def test_a_process_from_before_an_extension_and_one_from_after_end_in_the_extended_atlas(
    encoder, tissue_volume, start, finished, tmp_path
):
    first, more = Box.of_shape((40, 48, 30)), Box((0, 0, 20), (40, 48, 56))
    path = lay_out(encoder, tissue_volume, tmp_path / "a", box=first).path
    early = start(path)
    early.hear("open")
    extended = lay_out(encoder, tissue_volume, path, box=more, extend=True)
    late = start(path)
    early.go_on()
    late.go_on()

    passed_over, failed = early.end(), late.end()
    left = remaining(extended)
    embed_shards(extended)

    assert failed == 0
    assert passed_over > 0, "shards that were planned anew"
    assert left == []
    wanted = extended.wanted(extended.grid.cells)
    found, whole = (a.store.read_stored(a.store.cells) for a in (extended, finished))
    np.testing.assert_array_equal(found[wanted], whole[wanted])
    assert not found[~wanted].any()
    assert verify(extended, recompute=99) == []


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


def test_an_interrupt_loses_at_most_the_shards_in_hand(begun, finished):
    seen = []

    def stop(shard, _mark):
        seen.append(shard)
        if len(seen) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_shards(begun, progress=stop)
    kept = traces(begun)
    embed_shards(begun)

    assert len(kept) in (10, 11)
    assert kept.items() <= traces(begun).items()
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
