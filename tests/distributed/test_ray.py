"""Dense inference on a real Ray cluster of two nodes, while processes and a node are killed."""

import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from embed.checkpoint import random_encoder
from embed.engines.engine import RETRIES, Failure
from embed.engines.ray import Ray
from embed.geometry import Box
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining
from embed.layout import Wanted
from embed.samples import PATH
from embed.volume import open_volume
from tests.clusters import add_node, joined_cluster
from tests.commandline import SHAPE, write_volume
from tests.distributed import shards
from tests.embed.conftest import TINY

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster():
    """Two nodes of one core each; this process has joined."""
    with joined_cluster(num_cpus=1) as two:
        add_node(two, num_cpus=1)
        two.wait_for_nodes()
        yield two


@pytest.fixture(scope="module")
def lay_out(tmp_path_factory):
    """Lays out an atlas of 12 shards of the same tissue, again and again."""
    tissue = open_volume(PATH).read(Box.of_shape(SHAPE, start=(20, 60, 60)))
    path = write_volume(tmp_path_factory.mktemp("volume") / "tissue.zarr", tissue)
    encoder, volume = random_encoder(TINY), open_volume(path)
    wanted = Wanted(backend="xla", shard=(12, 12, 12))
    return lambda path: create_atlas(encoder, volume, path, wanted, run="runs/1")


@pytest.fixture(scope="module")
def expected(lay_out, tmp_path_factory):
    """What this process makes of it, without an engine."""
    atlas = lay_out(tmp_path_factory.mktemp("atlases") / "expected")
    assert embed_shards(atlas) == []
    return atlas


@pytest.fixture
def atlas(lay_out, tmp_path):
    return lay_out(tmp_path / "atlas")


@pytest.fixture
def notes(tmp_path):
    """Where workers note what they begin."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def stored(atlas):
    """The bytes of every shard, by name."""
    root = atlas.path / "embeddings.zarr"
    files = [f for f in root.rglob("*") if f.is_file() and not f.name.endswith("__lock")]
    return {str(f.relative_to(root)): f.read_bytes() for f in files}


def assert_same(atlas, expected):
    """Both hold the same bytes and the same marks."""
    assert remaining(atlas) == []
    assert stored(atlas) == stored(expected)
    assert atlas.ledger.marks() == expected.ledger.marks()


def run(atlas, function):
    return dict(Ray().run(function, remaining(atlas)))


def test_shards_are_the_same_bit_for_bit_when_a_worker_is_killed_at_one(
    cluster, atlas, notes, expected
):
    doomed = remaining(atlas)[0]

    found = run(atlas, functools.partial(shards.run_and_die_at_first, atlas.path, notes, doomed))

    assert shards.begun(notes, doomed) == 2
    assert {mark.state for mark in found.values()} == {"done"}
    assert_same(atlas, expected)


@pytest.mark.long  # as tests/embed/engines shows of any item
def test_a_shard_that_kills_every_worker_is_given_up_and_the_others_are_done(cluster, atlas, notes):
    doomed = remaining(atlas)[3]

    found = run(atlas, functools.partial(shards.run_and_die, atlas.path, notes, doomed))

    assert isinstance(found.pop(doomed), Failure)
    assert shards.begun(notes, doomed) == RETRIES + 1
    assert {mark.state for mark in found.values()} == {"done"}
    assert remaining(atlas) == [doomed]


DRIVER = """
import functools, sys
from pathlib import Path
from embed.atlas import Atlas
from embed.engines.ray import Ray
from embed.inference import remaining
from tests.distributed import shards

address, path, notes = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
todo = remaining(Atlas.open(path))
print(*map(shards.name, todo), flush=True)
for shard, mark in Ray(address).run(functools.partial(shards.run_slowly, path, notes), todo):
    print(shards.name(shard), mark.state, flush=True)
"""


def drive(cluster, atlas, notes):
    words = [sys.executable, "-c", DRIVER, cluster.address, str(atlas.path), str(notes)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.long
def test_when_the_driver_was_killed_the_same_command_does_the_rest(cluster, atlas, notes, expected):
    every = set(map(shards.name, atlas.shards))
    with drive(cluster, atlas, notes) as first:
        told = list(itertools.islice(first.stdout, 4))  # its list, and three that are done
        first.kill()
    done = {line.split()[0] for line in told[1:]}
    with drive(cluster, atlas, notes) as second:
        rest, *ended = second.stdout.read().splitlines()

    assert set(told[0].split()) == every
    assert second.returncode == 0
    assert not done & set(rest.split())
    assert sorted(ended) == sorted(f"{name} done" for name in rest.split())
    assert_same(atlas, expected)


def test_a_node_may_be_lost_while_it_computes(cluster, atlas, notes, expected):
    first, second = cluster.list_all_nodes()
    waiting = notes / "waiting"

    def lose() -> None:
        while not (waiting.exists() and waiting.read_text()):
            time.sleep(0.05)
        for process in (second.all_processes["raylet"][0].process.pid, int(waiting.read_text())):
            os.kill(process, signal.SIGKILL)

    loser = threading.Thread(target=lose, daemon=True)
    loser.start()
    found = run(atlas, functools.partial(shards.run_until_lost, atlas.path, notes, first.node_id))

    assert not loser.is_alive()
    assert {mark.state for mark in found.values()} == {"done"}
    assert_same(atlas, expected)
