"""Tests of serve/recheck.py: what is told of recall is what brute force finds."""

import json
import time
import urllib.request

import numpy as np
import pytest

import serve.recheck
import serve.searching.supplies
from embed.atlas import Atlas
from embed.errors import DataError
from serve.client import Client
from serve.index import build_index, open_index
from serve.locations import unit
from serve.metrics import Metrics
from serve.queries import Query
from serve.recheck import AMONG, Rechecks, recall_of
from serve.served import ServedAtlas
from serve.server import Settings, start_server
from tests.atlases import make_atlas
from tests.serve.brute import everything

ANY = "127.0.0.1:0"
QUERIES = np.random.default_rng(5).normal(size=(30, 16)).astype(np.float32)
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An atlas whose index reads so few of its lists that it misses much."""
    atlas = make_atlas(tmp_path_factory.mktemp("lists") / "small")
    manifest = build_index(atlas, factory="IVF32,Flat")
    path = atlas.path / "index" / manifest.version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "nprobe": 1}))
    return atlas


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Searches fetch few, so that they read few lists."""
    monkeypatch.setattr(serve.searching.supplies, "FIRST_FETCH", 10)


def true_recall(atlas, index, vector):
    ids, vectors, _ = everything(atlas)
    truth = ids[np.argsort(-(vectors @ vector))[:AMONG]]
    supply = serve.searching.supplies.IndexSupply(atlas, index, vector, AMONG, "")
    return np.isin(truth, supply.batch.ids[:AMONG]).mean()


def test_compared_with_everything_it_is_the_true_recall(made):
    index, rng = open_index(made), np.random.default_rng(0)

    told = [recall_of(made, index, query, rng) for query in QUERIES]

    expected = [true_recall(made, index, query) for query in QUERIES]
    assert told == pytest.approx(expected)
    assert 0.1 < np.mean(expected) < 0.95


@pytest.mark.parametrize("kept", [False, True])
def test_some_planes_at_a_time_it_is_the_same_and_rests_between(made, monkeypatch, kept):
    monkeypatch.setattr(serve.recheck, "_AT_ONCE", 1)
    atlas, rests = Atlas.open(made.path), []
    if kept:
        vectors, _ = unit(atlas.store.read(atlas.store.cells).reshape(-1, atlas.store.dim))
        atlas.store.keep(vectors)
    index, rng = open_index(atlas), np.random.default_rng(0)

    told = [recall_of(atlas, index, query, rng, rests.append) for query in QUERIES]

    assert told == pytest.approx([true_recall(made, index, query) for query in QUERIES])
    assert len(rests) == len(QUERIES) * sum(shard.shape[0] for shard in atlas.shards)
    assert min(rests) > 0


def test_an_embedding_that_is_no_number_is_told(made):
    atlas = Atlas.open(made.path)
    vectors = atlas.store.read(atlas.store.cells).reshape(-1, atlas.store.dim)
    vectors[vectors.any(axis=1)] = np.nan
    atlas.store.keep(vectors)

    with pytest.raises(DataError, match="not finite"):
        recall_of(atlas, open_index(made), QUERIES[0], np.random.default_rng(0))


def test_compared_with_parts_it_is_so_on_average(made, monkeypatch):
    monkeypatch.setattr(serve.recheck, "MOST_LOCATIONS", made.grid.size // 3)
    index, rng = open_index(made), np.random.default_rng(0)
    good = [q for q in QUERIES if true_recall(made, index, q) >= 0.9]

    told = [recall_of(made, index, query, rng) for query in good for _ in range(60)]

    expected = np.mean([true_recall(made, index, query) for query in good])
    assert len(set(told)) > 2
    assert np.mean(told) == pytest.approx(expected, abs=0.05)


def told_by(address):
    text = urllib.request.urlopen(f"http://{address}/metrics").read().decode()
    lines = (line for line in text.splitlines() if line.startswith("voxkin_re"))
    return {name: float(value) for name, value in (line.split(" ") for line in lines)}


def test_searches_of_callers_are_checked_and_the_estimate_is_told(made):
    served = ServedAtlas.open(made.path)
    with start_server({"small": served}, ANY, ANY, Settings(recheck=1)) as server:
        with Client(server.grpc_address) as client:
            for _ in range(1000):  # until one was checked
                client.find(Query(like=(QUERIES[0],)))
                told = told_by(server.http_address)
                if told:
                    break
                time.sleep(0.02)

    assert told['voxkin_rechecks_total{atlas="small"}'] >= 1
    expected = true_recall(made, served.index, QUERIES[0])
    assert told['voxkin_recall_estimate{atlas="small"}'] == pytest.approx(expected)


def test_one_in_so_many_is_taken_and_none_is_waited_for(made):
    served, metrics = ServedAtlas.open(made.path), Metrics()
    rechecks = Rechecks(metrics, one_in=3)  # whose thread was not started

    for _ in range(20):
        rechecks.offer(served, Query(like=(QUERIES[0],)))

    assert rechecks._waiting.qsize() == 1
    rechecks.start()
    rechecks.stop()
    rechecks.stop()
    rechecks._thread.join(60)
    assert not rechecks._thread.is_alive()


@pytest.mark.parametrize(
    "query",
    [
        Query(like=tuple(QUERIES[:2]), mode="best"),
        Query(cut_out=np.ones((5, 17, 17), np.uint8)),
    ],
)
def test_what_is_no_single_search_of_the_index_is_left_out(made, query):
    metrics = Metrics()
    rechecks = Rechecks(metrics, 1)

    rechecks._check(ServedAtlas.open(made.path), query)

    assert b'voxkin_rechecks_total{atlas="small"}' not in metrics.text()
