"""Tests of serve/search_calls.py and serve/wire/query_codec.py: over the wire as in process."""

import dataclasses
import itertools

import numpy as np
import pytest

import serve.served
from embed import errors
from embed.volume import open_volume
from serve.client import Client
from serve.labels import LabelTable
from serve.mapping.apply import apply_probe
from serve.probes import train_atlas_probe
from serve.queries import ClassFilter, Filters, LabelFilter, Query, Wish
from serve.served import ServedAtlas
from serve.server import start_server
from tests.labelled import write_volume
from tests.serve.brute import write_segmentation
from tests.served import INSIDE, label_places, make_served

ANY = "127.0.0.1:0"
OTHER = (420.0, 420.0, 555.0)
BOX = ((100.0, 100.0, 30.0), (500.0, 450.0, 600.0))
VECTOR = np.linspace(-1, 1, 16).astype(np.float32)
CUT_OUT = np.random.default_rng(0).integers(1, 255, (5, 17, 17)).astype(np.uint8)
QUERIES = {
    "a place": Query(like_nm_xyz=(INSIDE,)),
    "places and vectors": Query(
        like_nm_xyz=(INSIDE, OTHER), like=(VECTOR,), unlike=(-VECTOR,), unlike_weight=0.25
    ),
    "what is not typical": Query(like_nm_xyz=(INSIDE,), typical_weight=0.5),
    "the best": Query(like_nm_xyz=(INSIDE,), like=(VECTOR,), unlike=(-VECTOR,), mode="best"),
    "a line": Query(like_nm_xyz=(INSIDE,), unlike_nm_xyz=(OTHER,), mode="linear"),
    "a cut-out": Query(cut_out=CUT_OUT),
    "a probe": Query(probe="side", probe_class="low"),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    atlas = make_served(folder / "small").atlas
    places = np.array([(x, 260.0, z) for x in (132, 196, 452, 548) for z in (375, 675)])
    table = LabelTable(places, ("low",) * 4 + ("high",) * 4)
    apply_probe(atlas, train_atlas_probe(atlas, table, "side"))
    label_places(atlas, "mito", OTHER, (132.0, 260.0, 675.0))
    label_places(atlas, "axon", (452.0, 260.0, 675.0))
    blobs = (np.indices((12, 7, 7)).sum(axis=0) % 3 == 0).astype(np.uint8)
    write_volume(folder / "m.zarr", blobs, (50.0, 70.0, 70.0))
    masks = {"m": open_volume(folder / "m.zarr")}
    return ServedAtlas.open(atlas.path, write_segmentation(folder / "s.zarr"), masks)


@pytest.fixture(scope="module")
def client(served):
    with start_server({"small": served}, ANY, ANY) as server:
        with Client(server.grpc_address) as client:
            yield client


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
@pytest.mark.parametrize(
    "wish",
    [
        Wish(),
        Wish(7, 100, Filters((BOX,), frozenset({112, 1, 0})), per_segment=2),
        Wish(500, 0.0, Filters((), frozenset(), frozenset({112})), at_least=0.1),
        Wish(9, 0.0, Filters(masks=frozenset({"m"}), classes=(ClassFilter("side", "low", 0.7),))),
        Wish(9, 0.0, Filters(labels=(LabelFilter("s"),), not_labels=(LabelFilter("s", "axon"),))),
    ],
)
def test_a_search_is_the_one_made_in_process(client, served, query, wish):
    there, here = client.find(query, wish), served.find(query, wish)

    assert there == here
    assert there.hits


def test_pages_go_on_over_the_wire(client):
    query, wish = QUERIES["places and vectors"], Wish(6, 100)
    whole = client.find(query, Wish(12, 100))

    first = client.find(query, wish)
    second = client.find(query, dataclasses.replace(wish, page=first.next_page))

    assert first.hits + second.hits == whole.hits


def test_many_vectors_are_searched_in_one_call(client, served):
    vectors = np.random.default_rng(1).normal(size=(9, 16)).astype(np.float32)
    wish = Wish(4, filters=Filters((BOX,)))

    assert client.find_each(vectors, wish) == served.find_each(vectors, wish)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_everything_above_a_similarity_is_streamed(client, served, query):
    filters = Filters((BOX,))

    there = list(client.find_all(query, 0.2, filters))

    parts = served.find_all(query, 0.2, filters)
    assert there == [hit for _, hits in parts for hit in hits]
    assert there


def test_a_stream_that_the_server_ends_says_so_after_what_it_told(client, monkeypatch):
    whole = list(client.find_all(Query(like=(VECTOR,)), 0.2))
    monkeypatch.setattr(serve.served, "MAX_TOLD", 7)
    found = client.find_all(Query(like=(VECTOR,)), 0.2)

    told = list(itertools.islice(found, 7))
    with pytest.raises(errors.RequestError, match="at most 7 places"):
        next(found)

    assert told == whole[:7]


def test_the_masks_that_there_are_are_told(client):
    assert client.describe().masks == ("m",)


def test_a_stream_can_be_left(client):
    found = client.find_all(Query(like=(VECTOR,)), -1.0)

    some = list(itertools.islice(found, 5))
    found.close()

    assert len(some) == 5
    assert client.find(Query(like=(VECTOR,))).hits


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
@pytest.mark.parametrize("query", [QUERIES["a place"], QUERIES["the best"]])
def test_a_map_is_the_one_made_in_process(client, served, query, dtype):
    there = client.map_similarity(query, BOX, dtype)

    here = served.map_similarity(query, BOX, dtype)
    assert there.values.dtype == here.values.dtype == dtype
    np.testing.assert_array_equal(there.values, here.values)
    assert (there.first_nm_xyz, there.step_nm_xyz) == (here.first_nm_xyz, here.step_nm_xyz)
    assert (there.lowest, there.highest) == (here.lowest, here.highest)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda c: c.find(Query(probe="nobody")), "NotFoundError", "no probe"),
        (
            lambda c: c.find(QUERIES["a place"], Wish(filters=Filters(masks=frozenset({"x"})))),
            "NotFoundError",
            "no mask 'x'; there are: m",
        ),
        (lambda c: c.find(Query(like=(np.ones(3),))), "RequestError", "16-dimensional"),
        (lambda c: c.find(QUERIES["a place"], Wish(page=b"x")), "RequestError", "page token"),
        (lambda c: c.find_each(np.ones(16)), "RequestError", "one a row"),
        (lambda c: c.find_each(np.ones((2, 3))), "RequestError", "16-dimensional"),
        (lambda c: c.find_each(np.ones((2, 16)), Wish(page=b"x")), "RequestError", "at a time"),
        (lambda c: list(c.find_all(QUERIES["a place"], float("inf"))), "RequestError", "finite"),
        (lambda c: c.map_similarity(QUERIES["a place"], BOX, "int4"), "RequestError", "float16"),
        (
            lambda c: c.map_similarity(QUERIES["a place"], ((9e6, 0, 0), (9e7, 1, 1))),
            "OutOfBoundsError",
            "no location lies",
        ),
    ],
)
def test_the_error_of_the_server_is_raised_again(client, ask, error, words):
    with pytest.raises(getattr(errors, error), match=words):
        ask(client)


def test_an_atlas_that_is_opened_again_keeps_its_segmentation(served):
    wish = Wish(5, filters=Filters((), frozenset({112})))

    assert served.reopened().find(QUERIES["a place"], wish) == served.find(QUERIES["a place"], wish)
