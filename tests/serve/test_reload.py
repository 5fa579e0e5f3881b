"""Tests of serve/reload.py: new indices take the place of old ones under load, or do not."""

import json
import shutil

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from embed.errors import BusyError
from embed.storage import write_json
from serve.catalogue import Catalogue
from serve.index import build_index
from serve.manifest import index_root
from serve.metrics import Metrics
from serve.reload import Watcher
from serve.served import ServedAtlas
from serve.server import Settings, start_server
from tests.benchmarks.swaps import swap_under_load
from tests.served import INSIDE, make_served

ANY = "127.0.0.1:0"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Where an atlas is; not to be changed."""
    return make_served(tmp_path_factory.mktemp("served") / "small").atlas.path


@pytest.fixture
def atlases(made, tmp_path):
    """A catalogue of one atlas of the test's own."""
    return Catalogue({"small": ServedAtlas.open(shutil.copytree(made, tmp_path / "small"))})


@pytest.fixture
def told():
    return []


@pytest.fixture
def watcher(atlases, told):
    return Watcher(atlases, Metrics(), lambda *news: told.append(news), period_s=60)


def look(watcher, **how):
    return watcher.look(**how)["small"]


def test_a_new_version_takes_the_place_of_the_old_one(atlases, watcher):
    old = atlases["small"]
    assert look(watcher).outcome == "unchanged"

    build_index(old.atlas, rebuild=True, factory="IVF4,Flat")
    looked = look(watcher)

    assert (looked.outcome, looked.version) == ("swapped", "0002")
    assert atlases["small"].index.manifest.factory == "IVF4,Flat"
    assert look(watcher).outcome == "unchanged"
    assert old.find_at(INSIDE, 3, None).hits  # a call that began before


def test_what_is_costly_or_held_is_taken_along(atlases, watcher):
    old = atlases["small"]
    voxels = np.random.default_rng(0).integers(1, 255, (5, 17, 17)).astype(np.uint8)
    old.embed(voxels)

    build_index(old.atlas, rebuild=True)
    look(watcher)

    new = atlases["small"]
    assert new is not old
    assert new.encoder is old.encoder
    assert new._backend is old._backend
    with old.slot.holding("a job"), pytest.raises(BusyError), new.slot.holding("another"):
        pass


def damage_bytes(root):
    path = root / "0002" / "index.faiss"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(root):
    path = root / "0002" / "index.faiss"
    path.write_bytes(path.read_bytes()[:-7])


def make_foreign(root):
    path = root / "0002" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"atlas": "another"}))


DAMAGE = {
    "flipped bit": damage_bytes,
    "truncated": truncate,
    "foreign": make_foreign,
    "no manifest": lambda root: (root / "0002" / "manifest.json").unlink(),
    "no directory": lambda root: shutil.rmtree(root / "0002"),
    "no version": lambda root: write_json(root / "current.json", {}),
    "no json": lambda root: (root / "current.json").write_text("{"),
    "nothing": lambda root: (root / "current.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_version_leaves_the_old_one_serving_until_a_sound_one_comes(
    atlases, watcher, damage, told
):
    old = atlases["small"]
    expected = old.find_at(INSIDE, 5, None)
    build_index(old.atlas, rebuild=True)
    damage(index_root(old.atlas))

    looked = look(watcher)

    assert (looked.outcome, looked.version) == ("kept", "0001")
    assert str(old.atlas.path) not in looked.reason
    assert atlases["small"] is old
    assert old.find_at(INSIDE, 5, None) == expected
    assert told[-1] == ("small", True)
    assert look(watcher).outcome == "unchanged"  # it is not read again and again

    build_index(old.atlas, rebuild=True)
    assert look(watcher).outcome == "swapped"


def test_a_version_that_is_mended_in_place_is_taken_when_asked_to(atlases, watcher):
    root = index_root(atlases["small"].atlas)
    build_index(atlases["small"].atlas, rebuild=True)
    path = root / "0002" / "index.faiss"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    look(watcher)

    path.write_bytes(content)

    assert look(watcher).outcome == "unchanged"
    assert look(watcher, again=True).outcome == "swapped"


def test_an_atlas_whose_directory_went_is_unhealthy_until_it_is_back(made, tmp_path):
    path = shutil.copytree(made, tmp_path / "small")
    settings = Settings(look_every_s=0.05)
    with start_server({"small": ServedAtlas.open(path)}, ANY, ANY, settings) as server:
        with grpc.insecure_channel(server.grpc_address) as channel:
            request = health_pb2.HealthCheckRequest(service="atlas/small")
            told = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=30)
            first = next(told).status
            path.rename(tmp_path / "away")
            gone = next(told).status
            (tmp_path / "away").rename(path)
            back = next(told).status
            told.cancel()

    assert [first, gone, back] == [1, 2, 1]


def test_a_bug_while_looking_is_logged_and_the_watch_goes_on(caplog):
    class Broken:
        def __getattr__(self, name):
            raise KeyError("/secret/path")

    watcher = Watcher(Catalogue({"small": Broken()}), Metrics(), lambda *_: None, 60)

    looked = look(watcher)

    assert looked.outcome == "kept"
    assert "secret" not in looked.reason
    assert "secret" in caplog.text


def test_many_swaps_under_load_cost_no_call_and_give_no_wrong_answer(made, tmp_path):
    served = ServedAtlas.open(shutil.copytree(made, tmp_path / "small"))

    answered, wrong, seen = swap_under_load(served, swaps=10, callers=2)

    assert wrong == []
    assert seen == 8  # of the rest the versions were damaged
    assert answered > 10
