"""The page and its JSON: the same calls on the same atlases as gRPC, for browsers and curl.

A JSON answer is the message of the gRPC call in protobuf's JSON form (64-bit numbers as strings,
bytes in base 64), an error is `{"error": message}` with the status of `serve.wire.status`.
"""

import dataclasses
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from embed.errors import NotFoundError, VoxkinError
from serve.address import is_loopback
from serve.catalogue import Catalogue
from serve.clusters.http import add_clusters
from serve.find_http import add_find
from serve.gate.body_limit import Bounded
from serve.gate.door import Door
from serve.gate.guard import App, OwnNamesOnly
from serve.gate.http_admission import RELOAD, SESSION, Admitted, page_paths, session_cookie
from serve.labelling.http import add_labels
from serve.layers.http import add_layers
from serve.mapping.http import add_maps
from serve.metrics import Metrics
from serve.pb.voxkin.v1 import atlas_pb2
from serve.point_values import add_point_values
from serve.probing.http import add_probes
from serve.thumbnails import Plane
from serve.viewer import Files, add_viewer, viewer_paths
from serve.wire import atlas_codec, codec
from serve.wire.json_answers import json_of
from serve.wire.status import BUG, http_status_of, message_of

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
# Volumes and atlases do not change while they are served; pictures are asked for again and again.
_PICTURE = {"cache-control": "private, max-age=600"}

Nm = Annotated[float, Query(description="nm, in the frame of the volume")]


class Session(BaseModel):
    """What the page sends once.

    Attributes:
        token: as it was given to its owner.
    """

    token: Annotated[str, Field(max_length=200)]


@dataclasses.dataclass(frozen=True)
class Operations:
    """What the HTTP port needs of its server.

    Attributes:
        door: lets callers in.
        reload: looks for new versions of everything that may change, and says what came of it.
        is_draining: whether the server is about to stop.
        hosts: names that the page is asked for under, besides those of this machine.
    """

    door: Door
    reload: Callable[[], dict[str, Any]]
    is_draining: Callable[[], bool]
    hosts: tuple[str, ...]


def create_gateway(atlases: Catalogue, metrics: Metrics, operations: Operations) -> App:
    """The ASGI application of the HTTP port."""
    app = FastAPI(title="voxkin", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    _add_errors(app)
    _add_atlases(app, atlases, metrics)
    _add_pictures(app, atlases)
    add_find(app, atlases, metrics)
    add_layers(app, atlases)
    add_maps(app, atlases)
    add_clusters(app, atlases)
    add_point_values(app, atlases)
    add_labels(app, atlases)
    add_probes(app, atlases)

    _add_operations(app, metrics, operations)
    add_viewer(app)
    app.mount("/", Files(PAGE, html=True))
    paths = page_paths(file.name for file in PAGE.iterdir()) | viewer_paths()
    admitted = Admitted(_Counted(Bounded(app), metrics), operations.door, paths)
    # Addresses that stand for all of a machine's are no names of it.
    hosts = [host for host in operations.hosts if host not in ("0.0.0.0", "::")]
    return OwnNamesOnly(admitted, [host for host in hosts if not is_loopback(host)])


def _add_operations(app: FastAPI, metrics: Metrics, operations: Operations) -> None:
    @app.get("/healthz")
    def health() -> Response:
        """Whether the server answers, and will for some time."""
        if operations.is_draining():
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "serving"})

    @app.get("/metrics")
    def counts() -> Response:
        """What was counted, in Prometheus' text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.post(SESSION)
    def session(shown: Session, request: Request) -> Response:
        """Keeps a token in a cookie, after a check."""
        if operations.door.is_open:
            raise NotFoundError("this server asks for no token")
        operations.door.admit(f"Bearer {shown.token}", "read")
        return session_cookie(shown.token, secure=request.url.scheme == "https")

    @app.post(RELOAD)
    def reload() -> dict[str, Any]:
        """Looks for new indices, certificates and tokens now."""
        return {"atlases": operations.reload()}


def _add_atlases(app: FastAPI, atlases: Catalogue, metrics: Metrics) -> None:
    @app.get("/api/atlases")
    def list_atlases() -> Response:
        """Every atlas."""
        listed = (atlas_codec.atlas(atlases.summary(name)) for name in atlases)
        return json_of(atlas_pb2.ListAtlasesResponse(atlases=listed))

    @app.get("/api/atlases/{name}")
    def describe(name: str) -> Response:
        """One atlas."""
        return json_of(atlas_codec.atlas(atlases.summary(name)))

    @app.get("/api/atlases/{name}/similar")
    def similar(
        name: str, x: Nm, y: Nm, z: Nm, k: int = 10, min_separation_nm: float | None = None
    ) -> Response:
        """The places most like a place."""
        served = atlases[name]
        with metrics.searching(served.name):
            found = served.find_at((x, y, z), k, min_separation_nm)
        return json_of(codec.search_result(found))


def _add_pictures(app: FastAPI, atlases: Catalogue) -> None:
    @app.get("/api/atlases/{name}/slice.png")
    def slice_png(
        name: str,
        x: Nm,
        y: Nm,
        z: Nm,
        plane: Plane = "xy",
        size: int = 512,
        nm_per_pixel: float | None = None,
    ) -> Response:
        """A slice through the volume; a pixel is as large as a voxel where it is not said."""
        png = atlases[name].slice_png((x, y, z), plane, size, nm_per_pixel)
        return Response(png, media_type="image/png", headers=_PICTURE)

    @app.get("/api/atlases/{name}/thumb.png")
    def thumb_png(name: str, x: Nm, y: Nm, z: Nm, plane: Plane = "xy", size: int = 128) -> Response:
        """A slice two fields of view wide."""
        png = atlases[name].thumbnail_png((x, y, z), plane, size)
        return Response(png, media_type="image/png", headers=_PICTURE)


def _add_errors(app: FastAPI) -> None:
    def mistake(request: Request, error: Any) -> Response:
        return _error(http_status_of(error), message_of(error))

    def malformed(request: Request, error: Any) -> Response:
        first = error.errors()[0]
        return _error(400, f"{first['loc'][-1]}: {first['msg'].lower()}")

    def http(request: Request, error: Any) -> Response:
        return _error(error.status_code, f"{request.url.path[:200]}: {error.detail.lower()}")

    def bug(request: Request, error: Any) -> Response:
        return _error(500, BUG)

    app.add_exception_handler(VoxkinError, mistake)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, bug)


def _error(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


class _Counted:
    """Middleware that counts what was answered, and logs what should not have happened."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        status = 0

        async def send_noted(sent: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = sent.get("status", status)
            await send(sent)

        try:
            await self._app(scope, receive, send_noted)
        except Exception:
            # Answered by now: Starlette raises it again so that somebody writes it down.
            log.exception("%s failed", scope["path"])
        finally:
            route = getattr(scope.get("route"), "path", "page")
            self._metrics.http_handled.labels(route, str(status)).inc()
