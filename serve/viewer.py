"""What others wrote and the page shows: Neuroglancer's client and Plotly, from their packages.

Both are served from here, so that nothing is loaded from elsewhere. The client was built to be
driven by a Python server of its own, which it looks for beside `/v/TOKEN/` in its address; here the
page drives it, and a script of the page, put before the client's own, answers in that server's
place (`page/standin.js`).
"""

import importlib.util
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware

from embed.errors import MissingExtraError
from serve.gate.guard import CLIENT

PLOTLY = "/plotly/plotly.min.js"
STANDIN = "standin.js"

# The names of the client's files have their digests in them.
_FOR_EVER = "public, max-age=31536000, immutable"
_UNTIL_CHANGED = "no-cache"


class Files(StaticFiles):
    """The files of a folder, which a browser may keep until they change, or for ever."""

    def __init__(self, folder: Path, *, for_ever: bool = False, html: bool = False) -> None:
        super().__init__(directory=folder, html=html)
        self._keep = _FOR_EVER if for_ever else _UNTIL_CHANGED

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """A file, and for how long it may be kept."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = self._keep
        return response


def add_viewer(app: FastAPI) -> None:
    """Serves both, and the page that loads the client.

    Raises:
        MissingExtraError: a package is not installed.
    """
    index = _index((_client() / "index.html").read_text("utf-8"))

    @app.get(CLIENT)
    def client_page() -> Response:
        """The page of the client, with the stand-in for its server."""
        return Response(index, media_type="text/html", headers={"cache-control": _UNTIL_CHANGED})

    # Packed, as they are megabytes of script that people load through ssh.
    app.mount(CLIENT, GZipMiddleware(Files(_client(), for_ever=True)))
    app.mount(PLOTLY.rpartition("/")[0], GZipMiddleware(Files(_plotly())))


def viewer_paths() -> set[str]:
    """Paths of what it serves, which hold nothing of an atlas.

    Raises:
        MissingExtraError: a package is not installed.
    """
    return {CLIENT, PLOTLY, *(f"{CLIENT}{file.name}" for file in _client().iterdir())}


def _index(html: str) -> str:
    first, found, rest = html.partition("<script")
    assert found, "the client's page loads scripts"
    up = "../" * CLIENT.count("/", 1)
    return f'{first}<script src="{up}{STANDIN}"></script>{found}{rest}'


def _client() -> Path:
    return _package("neuroglancer") / "static" / "client"


def _plotly() -> Path:
    return _package("plotly") / "package_data"


def _package(name: str) -> Path:
    # Found, not imported: importing them takes seconds, and only their files are wanted.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(f"the page shows volumes with {name}: pip install {name}")
    return Path(next(iter(spec.submodule_search_locations)))
