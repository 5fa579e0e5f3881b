"""Tests of serve/find_http.py: searches by several examples over HTTP."""

import httpx
import pytest

from serve.queries import Query, Wish
from serve.server import start_server
from tests.served import INSIDE, make_served

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


def test_one_example_is_found_as_by_its_address(http):
    found = http.post("find", json={"like": [HERE], "k": 5}).json()

    assert found == http.get("similar", params=HERE | {"k": 5}).json()


BAD = {
    "nothing": ({}, 400, "say what to look for"),
    "only unlike": ({"unlike": [HERE]}, 400, "at least one example to be like"),
    "no position": ({"like": [{"x": 1, "y": 2}]}, 400, "z: field required"),
    "outside": ({"like": [{"x": 1e9, "y": 0, "z": 0}]}, 400, "outside atlas"),
    "no mode": ({"like": [HERE], "mode": "magic"}, 400, "mode: input should be"),
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
