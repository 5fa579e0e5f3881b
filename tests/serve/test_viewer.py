"""Tests of serve/viewer.py: what others wrote and the page shows."""

import re

import httpx
import pytest

from serve.gate.guard import CLIENT, PLOT
from serve.server import start_server
from serve.viewer import PLOTLY, STANDIN, viewer_paths
from tests.served import make_served


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    served = make_served(tmp_path_factory.mktemp("served") / "small")
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        with httpx.Client(base_url=f"http://{server.http_address}", timeout=30) as http:
            yield http


def test_the_page_of_the_client_loads_the_stand_in_before_anything_else(http):
    page = http.get(CLIENT)

    sources = re.findall(r'<script[^>]* src="([^"]+)"', page.text)
    assert page.headers["content-type"].startswith("text/html")
    assert page.url.join(sources[0]).path == f"/{STANDIN}"
    assert len(sources) > 1
    assert {http.get(page.url.join(source)).status_code for source in sources} == {200}


def test_files_of_the_client_are_kept_for_ever_and_all_others_are_asked_for_again(http):
    hashed = {path for path in viewer_paths() if path.endswith((".wasm", ".css"))}
    others = ("/", "/page.js", CLIENT, PLOTLY)

    def kept(paths):
        return {http.get(path).headers["cache-control"] for path in paths}

    assert kept(hashed) == {"public, max-age=31536000, immutable"}
    assert kept(others) == {"no-cache"}


def test_scripts_are_packed_and_not_sent_again(http):
    first = http.get(PLOTLY)
    again = http.get(PLOTLY, headers={"if-none-match": first.headers["etag"]})

    assert first.headers["content-encoding"] == "gzip"
    assert "Plotly" in first.text
    assert again.status_code == 304


@pytest.mark.parametrize(
    "path", ["../../../gateway.py", "..%2f..%2f__init__.py", "%2fetc%2fpasswd"]
)
@pytest.mark.parametrize("folder", [CLIENT, "/plotly/"])
def test_nothing_beside_them_is_served(http, folder, path):
    assert http.get(f"{folder}{path}").status_code == 404


@pytest.fixture(scope="module")
def policies(http):
    """What each document may do: the page and its two frames."""
    return {path: http.get(path).headers["content-security-policy"] for path in ("/", CLIENT, PLOT)}


def test_only_the_frames_of_the_page_may_be_framed_and_only_by_the_page(policies):
    assert "frame-ancestors 'none'" in policies["/"]
    assert "frame-src 'self'" in policies["/"]
    assert "frame-ancestors 'self'" in policies[CLIENT]
    assert "frame-ancestors 'self'" in policies[PLOT]


def test_only_the_frames_may_write_functions_and_they_too_load_nothing_from_elsewhere(policies):
    assert "unsafe" not in policies["/"]
    assert "'unsafe-eval'" in policies[CLIENT]
    assert "'unsafe-eval'" in policies[PLOT]
    assert not [p for p in policies.values() if "default-src 'none'" not in p]
    assert not [p for p in policies.values() if re.search(r"https?:|\*", p)]


def test_the_frame_of_the_plot_can_ask_for_nothing(policies):
    assert "connect-src" not in policies[PLOT]
