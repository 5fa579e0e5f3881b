"""Tests of serve/gateway.py and the page over a real HTTP port."""

import io
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
from google.protobuf import json_format
from PIL import Image

from serve.gateway import PAGE
from serve.pb.voxkin.v1 import atlas_pb2, search_pb2
from serve.server import start_server
from serve.wire import codec
from tests.served import INSIDE, make_served

HERE = dict(zip("xyz", INSIDE, strict=True))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def http(served):
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        with httpx.Client(base_url=f"http://{server.http_address}", timeout=30) as http:
            yield http


def error_of(response):
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"error"}
    return response.json()["error"]


def test_neighbours_are_the_message_that_grpc_sends(http, served):
    answer = http.get("/api/atlases/small/similar", params=HERE | {"k": 4, "min_separation_nm": 99})

    message = json_format.ParseDict(answer.json(), search_pb2.FindSimilarResponse())
    expected = served.find_at(INSIDE, 4, 99.0)
    found = codec.read_search_result(message)
    assert [hit.id for hit in found.hits] == [hit.id for hit in expected.hits]
    assert found.query_nm_xyz == INSIDE
    assert answer.json()["complete"] is True
    assert answer.json()["reason"] == ""
    assert isinstance(
        answer.json()["hits"][0]["location_id"], str
    )  # as 64 bits do not fit a double


def test_atlases_are_listed_and_described(http, served):
    listed = http.get("/api/atlases").json()["atlases"]
    described = http.get("/api/atlases/small").json()

    assert listed == [described]
    assert json_format.ParseDict(described, atlas_pb2.Atlas()).name == "small"
    assert described["probes"] == []


def test_an_atlas_without_a_map_says_how_to_make_one(http):
    answer = http.get("/api/atlases/small/projection")

    assert answer.status_code == 404
    assert "voxkin project" in error_of(answer)


@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
@pytest.mark.parametrize("kind", ["slice", "thumb"])
def test_a_picture_is_a_png_of_the_size_that_was_asked_for(http, kind, plane):
    answer = http.get(f"/api/atlases/small/{kind}.png", params=HERE | {"plane": plane, "size": 64})

    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == ("PNG", (64, 64))
    assert np.asarray(picture)[..., 0].std() > 10
    assert "max-age" in answer.headers["cache-control"]


BAD = {
    "no place": ("similar", {}, 400, "x: field required"),
    "no number": ("similar", HERE | {"x": "much"}, 400, "x: input should be a valid number"),
    "nan": ("similar", HERE | {"x": "nan"}, 400, "finite"),
    "outside": ("similar", HERE | {"x": 1e6}, 400, "outside atlas"),
    "a void": ("similar", {"x": 68, "y": 68, "z": 75}, 409, "no data"),
    "k of 0": ("similar", HERE | {"k": 0}, 400, "1 to 10000"),
    "k of a million": ("similar", HERE | {"k": 10**6}, 400, "1 to 10000"),
    "k of a half": ("similar", HERE | {"k": 0.5}, 400, "k: "),
    "bad separation": ("similar", HERE | {"min_separation_nm": "inf"}, 400, "finite"),
    "no plane": ("slice.png", HERE | {"plane": "zz"}, 400, "plane: input should be 'xy'"),
    "no size": ("slice.png", HERE | {"size": 0}, 400, "16 to 1024"),
    "huge": ("slice.png", HERE | {"size": 10**9}, 400, "16 to 1024"),
    "far away": ("slice.png", HERE | {"nm_per_pixel": 1e9}, 400, "nm_per_pixel or less"),
    "nearer than near": ("slice.png", HERE | {"nm_per_pixel": 0}, 400, "above 0"),
    "nowhere": ("slice.png", HERE | {"x": "nan"}, 400, "finite"),
    "no thumb": ("thumb.png", HERE | {"size": -5}, 400, "16 to 1024"),
}


@pytest.mark.parametrize(("path", "params", "status", "words"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_with_the_rule(http, path, params, status, words):
    answer = http.get(f"/api/atlases/small/{path}", params=params)

    assert answer.status_code == status
    assert words in error_of(answer)


@pytest.mark.parametrize("path", ["", "/similar?x=1&y=1&z=1", "/thumb.png?x=1&y=1&z=1"])
def test_an_unknown_atlas_is_not_found_and_those_served_are_named(http, path):
    answer = http.get(f"/api/atlases/nobody{path}")

    assert answer.status_code == 404
    assert "served: small" in error_of(answer)


@pytest.mark.parametrize(
    "path",
    "/nothing /api/nothing /..%2fgateway.py /%2e%2e/gateway.py /../served.py //etc/passwd "
    "/%2fetc%2fpasswd /docs /redoc".split(),
)
def test_nothing_but_the_page_is_served(http, path):
    answer = http.get(path, follow_redirects=False)

    assert answer.status_code == 404
    assert "not found" in error_of(answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(http, method):
    assert http.request(method, "/api/atlases").status_code == 405


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:80", "[::1]"]
)
def test_this_machine_may_be_called_by_its_names(http, host):
    assert http.get("/healthz", headers={"host": host}).json() == {"status": "serving"}


@pytest.mark.parametrize(
    "host",
    "evil.example localhost.evil.example 127.0.0.1.evil.example:80 0.0.0.0 x@localhost "
    "localhost:80:80 [::1 192.168.1.1 ".split(" "),
)
def test_a_request_under_another_name_is_refused(http, host):
    answer = http.get("/", headers={"host": host})

    assert answer.status_code == 400
    assert "localhost" in error_of(answer)


def test_a_page_of_another_origin_is_refused_and_our_own_is_not(http):
    here = f"{http.base_url.host}:{http.base_url.port}"

    def status(origin):
        return http.get("/api/atlases", headers={"origin": origin}).status_code

    assert status(f"http://{here}") == 200
    assert {status(o) for o in ("https://evil.example", "null", "http://localhost:1")} == {403}


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/atlases", "/nothing"])
def test_every_answer_forbids_what_is_not_from_here(http, path):
    headers = http.get(path).headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_bug_is_answered_without_saying_what_it_was(served):
    class Broken:
        def __getattr__(self, name):
            raise KeyError("/secret/path")

    with start_server({"small": Broken()}, "127.0.0.1:0", "127.0.0.1:0") as server:
        answer = httpx.get(f"http://{server.http_address}/api/atlases/small")

    assert answer.status_code == 500
    assert "secret" not in error_of(answer)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_was_done_is_counted(http):
    http.get("/api/atlases/small/similar", params=HERE)
    http.get("/no/such/place")

    text = http.get("/metrics").text

    assert 'voxkin_search_seconds_count{atlas="small"}' in text
    assert 'route="/api/atlases/{name}/similar",status="200"' in text
    assert "/no/such/place" not in text


def test_the_page_and_its_files_are_served_with_their_types(http):
    types = {f.name: http.get(f"/{f.name}").headers["content-type"] for f in PAGE.iterdir()}

    assert http.get("/").text == (PAGE / "index.html").read_text()
    assert types["page.js"].startswith("text/javascript")
    assert types["page.css"].startswith("text/css")
    assert types["icon.svg"] == "image/svg+xml"


@pytest.mark.parametrize("file", sorted(PAGE.iterdir()), ids=lambda f: f.name)
def test_the_page_asks_nothing_of_other_machines_and_has_no_absolute_paths(file: Path):
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")

    assert not re.search(r"https?:|//[a-z0-9-]+\.[a-z]|(src|href)=\"/", text)
