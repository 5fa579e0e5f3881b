"""What dense inference survives: being killed and interrupted, and company."""

import contextlib
import functools
import multiprocessing
import signal
import time

import numpy as np
import pytest

from embed.audit import verify
from embed.geometry import Box
from embed.inference import embed_shards, remaining
from tests.embed import survivor
from tests.embed.small_shards import assert_same, lay_out, stored_files

# Forked where all is imported and nothing runs yet: a new interpreter would take two seconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.embed.survivor"])


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
