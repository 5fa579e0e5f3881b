"""The page and its JSON: the same calls on the same atlases as gRPC, for browsers and curl.

A JSON answer is the message of the gRPC call in protobuf's JSON form (64-bit numbers as strings,
bytes in base 64), an error is `{"error": message}` with the status of `serve.status`.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from google.protobuf import json_format, message
from starlette.exceptions import HTTPException

from embed.errors import VoxkinError
from serve import atlas_codec, codec
from serve.catalogue import Catalogue
from serve.guard import App, LocalOnly
from serve.metrics import Metrics
from serve.pb.voxkin.v1 import atlas_pb2
from serve.status import BUG, http_status_of, message_of
from serve.thumbnails import Plane

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"
# Volumes and atlases do not change while they are served; pictures are asked for again and again.
_PICTURE = {"cache-control": "private, max-age=600"}

Nm = Annotated[float, Query(description="nm, in the frame of the volume")]


def create_gateway(atlases: Catalogue, metrics: Metrics) -> App:
    """The ASGI application of the HTTP port."""
    app = FastAPI(title="voxkin", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    _add_errors(app)
    _add_atlases(app, atlases, metrics)
    _add_pictures(app, atlases)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        """Whether the server answers."""
        return {"status": "serving"}

    @app.get("/metrics")
    def counts() -> Response:
        """What was counted, in Prometheus' text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return LocalOnly(_Counted(app, metrics))


def _add_atlases(app: FastAPI, atlases: Catalogue, metrics: Metrics) -> None:
    @app.get("/api/atlases")
    def list_atlases() -> Response:
        """Every atlas."""
        listed = (atlas_codec.atlas(atlases.summary(name)) for name in atlases)
        return _json(atlas_pb2.ListAtlasesResponse(atlases=listed))

    @app.get("/api/atlases/{name}")
    def describe(name: str) -> Response:
        """One atlas."""
        return _json(atlas_codec.atlas(atlases.summary(name)))

    @app.get("/api/atlases/{name}/similar")
    def similar(
        name: str, x: Nm, y: Nm, z: Nm, k: int = 10, min_separation_nm: float | None = None
    ) -> Response:
        """The places most like a place."""
        served = atlases[name]
        with metrics.searching(served.name):
            found = served.find_at((x, y, z), k, min_separation_nm)
        return _json(codec.search_result(found))

    @app.get("/api/atlases/{name}/projection")
    def projection(name: str) -> Response:
        """The map of an atlas."""
        return _json(atlas_codec.projection(atlases[name].projection()))


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


def _json(answer: message.Message) -> Response:
    return JSONResponse(
        json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
    )


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
