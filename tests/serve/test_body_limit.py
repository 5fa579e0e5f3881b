"""Tests of serve/gate/body_limit.py, over a real HTTP port."""

import httpx
import pytest

from serve.gate.body_limit import MAX_BODY
from serve.index import build_index
from serve.served import ServedAtlas
from serve.server import start_server
from tests.atlases import make_atlas


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    atlas = make_atlas(tmp_path_factory.mktemp("served") / "small")
    build_index(atlas)
    served = ServedAtlas.open(atlas.path)
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        with httpx.Client(base_url=f"http://{server.http_address}", timeout=30) as http:
            yield http


def in_parts(size):
    """A body whose length no header tells."""
    for _ in range(size // 2**16):
        yield b" " * 2**16


@pytest.mark.parametrize("content", [b" " * (MAX_BODY + 1), in_parts(2 * MAX_BODY)])
def test_what_is_too_long_is_refused_with_the_limit(http, content):
    answer = http.post("/api/atlases/small/labels", content=content)

    assert answer.status_code == 413
    assert "1,048,576 bytes at most" in answer.json()["error"]


def test_files_may_be_longer(http):
    row = b"260,260,435,mito," + b"x" * (MAX_BODY // 10) + b"\n"
    content = b"x_nm,y_nm,z_nm,label,comment\n" + 20 * row
    query = {"set": "structures", "author": "ana"}

    answer = http.post("/api/atlases/small/labels/import", params=query, content=content)

    assert answer.status_code == 200
    assert answer.json()["imported"] == 1


def test_the_server_goes_on_afterwards(http):
    http.post("/api/session", content=b"x" * (3 * MAX_BODY))

    assert http.get("/healthz").json() == {"status": "serving"}
