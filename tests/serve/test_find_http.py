"""Tests of serve/find_http.py: searches by several examples over HTTP."""

import httpx
import pytest

from serve.queries import Filters, LabelFilter, Query, Wish
from serve.server import start_server
from tests.served import INSIDE, label_places, make_served

FAR = (388.0, 324.0, 555.0)
HERE, THERE = (dict(zip("xyz", place, strict=True)) for place in (INSIDE, FAR))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def http(served):
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        base = f"http://{server.http_address}/api/atlases/small/"
        with httpx.Client(base_url=base, timeout=30) as http:
            yield http


@pytest.mark.parametrize("mode", ["average", "best", "linear"])
def test_what_is_found_is_what_the_library_finds(http, served, mode):
    answer = http.post("find", json={"like": [HERE], "unlike": [THERE], "mode": mode, "k": 5})

    expected = served.find(Query((INSIDE,), (FAR,), mode=mode), Wish(5))
    found = [(int(hit["location_id"]), hit["similarity"]) for hit in answer.json()["hits"]]
    assert found == [(hit.id, pytest.approx(hit.similarity)) for hit in expected.hits]


def test_what_is_typical_counts_as_in_the_library(http, served):
    answer = http.post("find", json={"like": [HERE], "typical_weight": 0.8, "k": 5}).json()

    expected = served.find(Query((INSIDE,), typical_weight=0.8), Wish(5))
    found = [(int(hit["location_id"]), hit["similarity"]) for hit in answer["hits"]]
    assert found == [(hit.id, pytest.approx(hit.similarity)) for hit in expected.hits]
    assert answer["query_position_nm"] == HERE


def test_one_example_is_found_as_by_its_address(http):
    found = http.post("find", json={"like": [HERE], "k": 5}).json()

    assert found == http.get("similar", params=HERE | {"k": 5}).json()


def test_filters_leave_what_the_library_leaves(http, served):
    low, high = (0.0, 0.0, 0.0), INSIDE  # without the nearest, which surround the query
    box = {"start": dict(zip("xyz", low, strict=True)), "stop": dict(zip("xyz", high, strict=True))}
    body = {"like": [HERE], "k": 5, "min_separation_nm": 0, "at_least": -0.5}

    answer = http.post("find", json=body | {"filters": {"boxes_nm": [box]}})

    wish = Wish(5, 0, Filters(boxes_nm=((low, high),)), at_least=-0.5)
    expected = [hit.id for hit in served.find(Query((INSIDE,)), wish).hits]
    everywhere = [hit.id for hit in served.find(Query((INSIDE,)), Wish(5, 0)).hits]
    assert [int(hit["location_id"]) for hit in answer.json()["hits"]] == expected
    assert expected
    assert set(expected) != set(everywhere)


def test_what_is_labelled_is_left_out_or_alone_as_the_library_does(http, served):
    label_places(served.atlas, "mito", FAR)
    said, meant = [{"label_set": "s", "label": "mito"}], (LabelFilter("s", "mito"),)

    for kind in ("labels", "not_labels"):
        answer = http.post("find", json={"like": [HERE], "k": 5, "filters": {kind: said}})

        expected = served.find(Query((INSIDE,)), Wish(5, filters=Filters(**{kind: meant})))
        found = [int(hit["location_id"]) for hit in answer.json()["hits"]]
        assert found == [hit.id for hit in expected.hits]
        assert len(found) == {"labels": 1, "not_labels": 5}[kind]


BAD_FILTERS = {
    "an empty box": ({"boxes_nm": [{"start": HERE, "stop": HERE}]}, 400, "lower corner"),
    "half a box": ({"boxes_nm": [{"start": HERE}]}, 400, "stop: field required"),
    "no segments": ({"segments": [1]}, 409, "--segmentation"),
    "a large segment": ({"not_segments": [2**64]}, 400, "2^64 - 1"),
    "no such mask": ({"masks": ["brain"]}, 404, "no mask 'brain'"),
    "no such map": ({"classes": [{"probe": "nobody"}]}, 404, "nobody"),
    "a path": ({"masks": ["file:///etc"]}, 404, "no mask"),
    "no such set": ({"labels": [{"label_set": "t"}]}, 404, "no class set 't'"),
    "no set": ({"not_labels": [{"label": "mito"}]}, 400, "label_set: field required"),
    "a likelihood": ({"classes": [{"probe": "p", "at_least": 2}]}, 400, "probability"),
}


@pytest.mark.parametrize(
    ("filters", "status", "words"), BAD_FILTERS.values(), ids=BAD_FILTERS.keys()
)
def test_bad_filters_are_refused_with_the_rule(http, filters, status, words):
    answer = http.post("find", json={"like": [HERE], "filters": filters})

    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


BAD = {
    "nothing": ({}, 400, "say what to look for"),
    "only unlike": ({"unlike": [HERE]}, 400, "at least one example to be like"),
    "no position": ({"like": [{"x": 1, "y": 2}]}, 400, "z: field required"),
    "outside": ({"like": [{"x": 1e9, "y": 0, "z": 0}]}, 400, "outside atlas"),
    "no mode": ({"like": [HERE], "mode": "magic"}, 400, "mode: input should be"),
    "no weight": ({"like": [HERE], "typical_weight": -1}, 400, "typical_weight is 0 or more"),
    "no probe": ({"probe": "nobody"}, 404, "no probe"),
    "both": ({"like": [HERE], "probe": "mito"}, 400, "not both"),
    "too many": ({"like": [HERE] * 1001}, 400, "like: list should have at most 1000"),
    "k of 0": ({"like": [HERE], "k": 0}, 400, "1 to 10000"),
    "a volume": ({"like": [HERE], "volume": "file:///etc"}, 400, "volume: extra inputs"),
    "no object": ([1, 2], 400, "body: input should be a valid dictionary"),
}


@pytest.mark.parametrize(("body", "status", "words"), BAD.values(), ids=BAD.keys())
def test_bad_searches_are_refused_with_the_rule(http, body, status, words):
    answer = http.post("find", json=body)

    assert answer.status_code == status
    assert words in answer.json()["error"]
