"""Folders of precomputed data to write into, and a server for them."""

import functools
import http.server
import threading
from pathlib import Path

import pytest

from tests.precomputed import Folder


@pytest.fixture(params=["plain", "gz", "sharded"])
def folder(request, tmp_path):
    """A folder to write into, in every way of storing."""
    return Folder(tmp_path / "made", request.param)


@pytest.fixture
def plain(tmp_path):
    """A folder of plain files."""
    return Folder(tmp_path / "made", "plain")


@pytest.fixture
def serve():
    """Serves a folder over HTTP, which cannot list it; gives the URL."""
    servers = []

    def start(path: Path) -> str:
        handler = functools.partial(_Quiet, directory=str(path))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
