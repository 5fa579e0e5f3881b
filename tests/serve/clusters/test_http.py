"""Tests of the map and its clusters over a real HTTP port."""

import io
import shutil
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest
from google.protobuf import json_format
from PIL import Image

import serve.clusters.project
from embed.atlas import Atlas
from embed.errors import IncompleteError
from serve.clusters.projection import load_projection
from serve.index import build_index
from serve.pb.voxkin.v1 import atlas_pb2
from serve.served import ServedAtlas
from serve.server import start_server
from serve.wire import atlas_codec
from tests.laid_out import by_kind


@pytest.fixture(scope="module")
def served(mapped, tmp_path_factory):
    own = Path(shutil.copytree(mapped.path, tmp_path_factory.mktemp("served") / "three"))
    build_index(Atlas.open(own))
    return ServedAtlas.open(own)


@pytest.fixture(scope="module")
def http(served):
    with start_server({"three": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        base = f"http://{server.http_address}/api/atlases/three/"
        with httpx.Client(base_url=base, timeout=30) as http:
            yield http


def test_the_map_is_the_message_that_grpc_sends_and_its_clusters_besides(http, served):
    answer = http.get("projection").json()

    named = answer.pop("named_clusters")
    message = json_format.ParseDict(answer, atlas_pb2.ProjectionResponse())
    found, expected = atlas_codec.read_projection(message), load_projection(served.atlas).points
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.clusters, expected.clusters)
    assert [one["number"] for one in named] == [0, 1, 2]
    assert sum(one["size"] for one in named) == len(expected.ids)
    assert {one["suggestion"] for one in named} == {""}


def test_every_cluster_has_a_picture_where_it_is_said(http):
    server = str(http.base_url).split("/api")[0]
    for one in http.get("projection").json()["named_clusters"]:
        picture = http.get(f"{server}/{one['montage']}")

        assert picture.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(picture.content)).width > 600


def test_a_name_is_kept(http, served):
    told = http.put("clusters/1", json={"name": "axons <b>"}).json()

    assert (told["number"], told["name"]) == (1, "axons <b>")
    assert http.get("projection").json()["named_clusters"][1]["name"] == "axons <b>"
    assert served.clusters.listed()[1].name == "axons <b>"


def test_a_place_is_told_where_it_lies(http, served):
    points = load_projection(served.atlas).points
    here = dict(zip("xyz", points.positions_nm_xyz[3].tolist(), strict=True))

    told = http.get("projection/place", params=here).json()

    assert told.keys() == {"umap_x", "umap_y", "cluster"}
    assert told["cluster"] == points.clusters[3]


BAD = {
    "no cluster": ("PUT", "clusters/9", {"name": "a"}, 404, "they are 0 to 2"),
    "no number": ("PUT", "clusters/x", {"name": "a"}, 400, "number"),
    "no name": ("PUT", "clusters/0", {}, 400, "name: field required"),
    "a formula": ("PUT", "clusters/0", {"name": "=1+1"}, 400, "formula"),
    "a long name": ("PUT", "clusters/0", {"name": "x" * 201}, 400, "name: "),
    "something else": ("PUT", "clusters/0", {"name": "a", "path": "/etc"}, 400, "path: "),
    "no such montage": ("GET", "clusters/9/montage.png", None, 404, "they are 0 to 2"),
    "nowhere": ("GET", "projection/place?x=nan&y=1&z=1", None, 400, "outside"),
    "too many": ("POST", "projection", {"sample": 10**9}, 400, "sample: "),
}


@pytest.mark.parametrize(("method", "path", "body", "status", "words"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_with_the_rule(http, method, path, body, status, words):
    answer = http.request(method, path, json=body)

    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_a_map_is_made_in_the_background_one_at_a_time(http, monkeypatch):
    go_on = threading.Event()

    def waits(vectors, config, tell):
        tell("laying out", 7, 200)
        assert go_on.wait(30)
        return by_kind(vectors, config, tell)

    monkeypatch.setattr(serve.clusters.project, "lay_out", waits)
    assert http.get("projection/progress").json()["state"] == "none"
    before = http.get("projection").json()

    assert http.post("projection", json={"sample": 120}).json() == {"job": "running"}

    said = _until(http, lambda said: said["text"] == "laying out")
    assert said == {"state": "running", "step": 7, "of": 200, "text": "laying out", "error": ""}
    assert http.post("projection", json={}).status_code == 429
    assert http.get("projection").json()["count"] == before["count"]
    go_on.set()
    assert _until(http, lambda said: said["state"] != "running")["state"] == "done"
    assert http.get("projection").json()["count"] < before["count"]


def test_why_a_map_was_not_made_is_said(http, monkeypatch):
    def fails(vectors, config, tell):
        raise IncompleteError("the process was killed")

    monkeypatch.setattr(serve.clusters.project, "lay_out", fails)

    http.post("projection")

    said = _until(http, lambda said: said["state"] != "running")
    assert (said["state"], said["error"]) == ("failed", "the process was killed")
    assert http.get("projection").status_code == 200


def _until(http, holds):
    for _ in range(3000):
        said = http.get("projection/progress").json()
        if holds(said):
            return said
        threading.Event().wait(0.01)
    raise AssertionError(said)
