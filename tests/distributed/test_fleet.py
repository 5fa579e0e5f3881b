"""A fleet on a real Ray cluster: 4 slabs of 2 replicas each, some of which are killed.

Exact everywhere: the answers of an index of one file, which compares everything, are expected.
"""

import contextlib
import dataclasses
import os
import shutil
import signal
import time
from concurrent import futures
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.engines.ray import Ray
from embed.errors import ConfigError, DataError, UnavailableError
from serve.client import Client
from serve.fleet.build import build_slabs
from serve.fleet.fleet import Fleet, FleetSettings, application_names
from serve.index import build_index, open_index
from serve.manifest import current_manifest
from serve.search import Searcher
from serve.served import ServedAtlas
from serve.server import Settings, start_server
from tests.atlases import make_atlas
from tests.clusters import joined_cluster
from tests.served import INSIDE

pytestmark = [
    pytest.mark.slow,
    # Ray Serve itself uses what pydantic and asyncio will drop one day, and warns of its own ways.
    pytest.mark.filterwarnings(r"ignore:::ray\."),
]

ANY = "127.0.0.1:0"
SLABS, REPLICAS = 4, 2
LONG_S = 120


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray.serve", reason="pip install 'voxkin[fleet]'", exc_type=ImportError)
    with joined_cluster(num_cpus=2) as one:
        yield one


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An atlas with an index of one file, which compares everything; not to be changed."""
    made = make_atlas(tmp_path_factory.mktemp("plain") / "small")
    build_index(made)
    return made


@pytest.fixture(scope="module")
def atlas(cluster, plain, tmp_path_factory):
    """The same atlas with an index in slabs, which tasks of the cluster build."""
    path = tmp_path_factory.mktemp("slabs") / "small"
    shutil.copytree(plain.path, path, ignore=shutil.ignore_patterns("index"))
    copied = Atlas.open(path)
    build_slabs(copied, SLABS, Ray(cluster.address), factory="Flat")
    return copied


@pytest.fixture(scope="module")
def settings(cluster):
    # A machine that is busy takes its time: only tests of silence have a short deadline.
    return FleetSettings(cluster.address, REPLICAS, 0.05, deadline_s=LONG_S, retire_s=5)


@pytest.fixture(scope="module")
def fleet(settings):
    with Fleet(settings) as joined:
        yield joined


@pytest.fixture(scope="module")
def expected(plain):
    """What a search in the middle finds."""
    return Searcher(plain, open_index(plain)).find_at(INSIDE, 10).hits


@pytest.fixture
def impatient(fleet, settings, atlas):
    """A search of what the fleet holds that waits a second for a slab."""
    with Fleet(dataclasses.replace(settings, deadline_s=1.0)) as other:
        yield Searcher(atlas, other.open_index(atlas))


def replicas(atlas, slab, manifest=None):
    """Process ids of the replicas of a slab, of the serving version if no other is named."""
    names = application_names(atlas, manifest or current_manifest(atlas)[0])
    name, found = names[slab].encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title = (process / "cmdline").read_bytes()
            if title.startswith(b"ray::") and name in title:
                found.append(int(process.name))
    return found


def listening(process):
    """How many TCP ports a process listens on."""
    held = {os.readlink(fd) for fd in Path(f"/proc/{process}/fd").iterdir()}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]
    ]
    return sum(row[3] == "0A" and f"socket:[{row[9]}]" in held for row in rows)


def until(true):
    """Waits for something, but not for ever."""
    ends = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.05)


@contextlib.contextmanager
def load(address):
    """Two callers who ask all the time; the list of their answers and errors."""
    answers, done = [], Event()

    def ask():
        with Client(address, timeout_s=LONG_S) as client:
            while not done.is_set():
                try:
                    answers.append(client.find_similar(position_nm_xyz=INSIDE, k=10))
                except Exception as error:
                    answers.append(error)
                time.sleep(0.02)

    with futures.ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            until(lambda: len(answers) > 2)
            yield answers
        finally:
            done.set()
    for share in asking:
        share.result()


def assert_all_right(answers, expected):
    assert [a for a in answers if isinstance(a, Exception)] == []
    assert {a.hits for a in answers} == {expected}
    assert {(a.complete, a.reason) for a in answers} == {(True, "")}


def test_tasks_on_a_cluster_build_the_slabs_that_this_process_builds(atlas, plain, tmp_path):
    shutil.copytree(plain.path, tmp_path / "a", ignore=shutil.ignore_patterns("index"))

    here = build_slabs(Atlas.open(tmp_path / "a"), SLABS, factory="Flat")

    there, _ = current_manifest(atlas)
    assert here.slabs == there.slabs
    assert len(there.slabs) == SLABS
    assert here.recall == there.recall == 1.0


def test_a_fleet_finds_what_one_index_finds(fleet, atlas, plain):
    together, one = fleet.open_index(atlas), open_index(plain)
    queries = plain.embeddings(np.arange(100, 2600, 250))
    few = np.packbits(np.arange(plain.grid.size) % 7 == 0, bitorder="little")

    for allowed in (None, few):
        similarities, ids = together.search(queries, 40, allowed=allowed)
        exact, exact_ids = one.search(queries, 40, allowed=allowed)

        np.testing.assert_allclose(similarities, exact, atol=1e-6)
        np.testing.assert_array_equal(ids, exact_ids)


def test_replicas_listen_to_ray_alone(fleet, atlas):
    fleet.open_index(atlas)

    ports = [listening(process) for n in range(SLABS) for process in replicas(atlas, n)]

    # That of Ray, which its token guards. Ray Serve would open one more that nothing guards.
    assert ports == [1] * SLABS * REPLICAS


def test_an_index_of_one_file_is_no_business_of_a_fleet(fleet, plain):
    with pytest.raises(DataError, match="--slabs N"):
        fleet.open_index(plain)


def test_more_cores_than_there_are_are_refused_with_what_would_work(fleet, settings, atlas):
    with Fleet(dataclasses.replace(settings, cores=1.0)) as greedy:
        with pytest.raises(ConfigError, match=r"8 cores, and the cluster has 2: .*--replica-cores"):
            greedy.open_index(atlas)


def test_what_slabs_do_not_answer_is_missing_and_said_to_be(impatient, atlas, expected):
    manifest, _ = current_manifest(atlas)
    slab = manifest.slabs[0]
    stopped = replicas(atlas, 0)
    assert len(stopped) == REPLICAS
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    try:
        partial = impatient.find_at(INSIDE, 10)
        rest = [process for n in range(1, SLABS) for process in replicas(atlas, n)]
        stopped += rest
        for process in rest:
            os.kill(process, signal.SIGSTOP)
        with pytest.raises(UnavailableError, match="4 of 4 slabs"):
            impatient.find_at(INSIDE, 10)
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)

    assert not partial.complete
    assert not partial.exact
    share = f"with {slab.count} of {manifest.count:,} locations"
    assert partial.missing == f"1 of 4 slabs, {share}, did not answer within 1 s"
    assert partial.reason.startswith(partial.missing)
    there = [hit.id for hit in partial.hits]
    assert {hit.id for hit in expected if hit.id >= slab.stop} <= set(there)
    until(lambda: impatient.find_at(INSIDE, 10).hits == expected)


def test_a_replica_that_is_killed_under_load_costs_no_call_and_is_replaced(fleet, atlas, expected):
    served = ServedAtlas.open(atlas.path, opener=fleet.open_index)
    with start_server({"small": served}, ANY, ANY) as server, load(server.grpc_address) as answers:
        killed, stays = replicas(atlas, 1)

        os.kill(killed, signal.SIGKILL)

        until(lambda: len({*replicas(atlas, 1)} - {killed, stays}) == 1)
        so_far = len(answers)
        until(lambda: len(answers) > so_far + 20)

    assert_all_right(answers, expected)


def test_a_new_version_is_rolled_out_under_load_and_the_old_one_retired(fleet, atlas, expected):
    served = ServedAtlas.open(atlas.path, opener=fleet.open_index)
    old = served.index.manifest
    often = Settings(look_every_s=0.1)
    with start_server({"small": served}, ANY, ANY, often) as server:
        with load(server.grpc_address) as answers, Client(server.grpc_address) as client:
            new = build_slabs(atlas, 2, factory="IVF1,Flat")
            until(lambda: client.describe().index.factory == new.factory)
            so_far = len(answers)
            until(lambda: not any(replicas(atlas, n, old) for n in range(SLABS)))
            until(lambda: len(answers) > so_far + 20)

    assert_all_right(answers, expected)
    assert [len(replicas(atlas, n)) for n in range(2)] == [REPLICAS, REPLICAS]


def test_a_slab_that_is_gone_is_flagged_until_it_is_back(impatient, atlas, expected):
    for process in replicas(atlas, 1):
        os.kill(process, signal.SIGKILL)

    gone = impatient.find_at(INSIDE, 10)

    assert not gone.complete
    assert gone.reason.startswith("1 of 2 slabs")
    until(lambda: impatient.find_at(INSIDE, 10).complete)
    assert impatient.find_at(INSIDE, 10).hits == expected
