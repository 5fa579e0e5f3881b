"""The layers over HTTP: which there are, and their chunks as a precomputed source of Neuroglancer.

Chunks are made in threads, a few at once, so that clicks are answered meanwhile; those that nobody
waits for any more when their turn comes are not made.
"""

import gzip
import os
from typing import Any
from urllib.parse import quote

import anyio
from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import Response

from embed.errors import NotFoundError
from embed.storage import digest
from serve.catalogue import Catalogue
from serve.find_http import Examples
from serve.layers.layers import Layers, Shown
from serve.layers.precomputed import PROPERTIES, Placement, info, segment_properties

_AT_ONCE = max(2, os.cpu_count() or 1)
# Asked for anew with its tag, which is cheap to answer: a map may change under the same address.
_UNTIL_CHANGED = "private, no-cache"
_GONE = 499  # nginx's number for callers that left; nobody reads it but the log
# Ids of segments pack a hundredfold, tissue hardly.
_WORTH_PACKING = 4096


def add_layers(app: FastAPI, atlases: Catalogue) -> None:
    """Adds the routes."""
    _add_lists(app, atlases)
    _add_sources(app, atlases)


def _add_lists(app: FastAPI, atlases: Catalogue) -> None:
    @app.get("/api/atlases/{name}/layers")
    def layers(name: str) -> dict[str, Any]:
        """The layers that can be looked at."""
        served = atlases[name]
        size = dict(zip("xyz", reversed(served.atlas.frame.voxel_size_nm), strict=True))
        listed = [_described(name, shown) for shown in served.layers.listed()]
        return {"layers": listed, "voxel_size_nm": size}

    @app.post("/api/atlases/{name}/similarity")
    def similarity(name: str, asked: Examples) -> dict[str, Any]:
        """A layer of the similarity of every location to some places, or to a probe's class."""
        served = atlases[name]
        token, shown = served.layers.compare(asked.query())
        lowest, highest = served.layers.similar.aim(token).range
        layer = _described(name, shown)
        return {"token": token, "layer": layer, "lowest": lowest, "highest": highest}


def _add_sources(app: FastAPI, atlases: Catalogue) -> None:
    turns = anyio.CapacityLimiter(_AT_ONCE)

    @app.get("/pc/{name}/{layer}/info")
    def described(name: str, layer: str) -> dict[str, Any]:
        """The description of a layer."""
        found = atlases[name].layers.found(layer).layer
        return info(found.kind, found.dtype, found.scales, named=bool(found.segments))

    @app.get(f"/pc/{{name}}/{{layer}}/{PROPERTIES}/info")
    def properties(name: str, layer: str) -> dict[str, Any]:
        """The names of the segments of a layer."""
        segments = atlases[name].layers.found(layer).layer.segments
        if not segments:
            raise NotFoundError(f"the segments of layer {layer[:100]!r} have no names")
        return segment_properties({segment.id: segment.name for segment in segments})

    @app.get("/pc/{name}/{layer}/{scale}/{chunk}")
    async def chunk(name: str, layer: str, scale: str, chunk: str, request: Request) -> Response:
        """The voxels of a chunk."""
        packed = "gzip" in request.headers.get("accept-encoding", "")

        def make() -> Response:
            return _chunk(atlases[name].layers, (layer, scale, chunk), request, packed=packed)

        async with turns:
            if await request.is_disconnected():
                return Response(status_code=_GONE)
            return await to_thread.run_sync(make)


def _chunk(
    layers: Layers, place: tuple[str, str, str], request: Request, *, packed: bool
) -> Response:
    layer = layers.found(place[0]).layer
    tag = f'"{digest(repr((layer.version, *place, packed)).encode())}"'
    headers = {"cache-control": _UNTIL_CHANGED, "etag": tag, "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    content = layers.chunk(*place)
    if packed and layer.kind == "segmentation" and len(content) > _WORTH_PACKING:
        content = gzip.compress(content, compresslevel=1)
        headers["content-encoding"] = "gzip"
    return Response(content, media_type="application/octet-stream", headers=headers)


def _described(atlas: str, shown: Shown) -> dict[str, Any]:
    layer = shown.layer
    return {
        "id": shown.id,
        "title": shown.title,
        "type": layer.kind,
        "source": f"pc/{quote(atlas, safe='')}/{quote(shown.id, safe='')}",
        "transform": Placement.of(layer.scales).transform(layer.scales[0]),
        "shader": shown.shader,
        "visible": shown.visible,
        "group": shown.group,
        "probe": shown.probe,
        "label": shown.label,
        "legend": [
            {"segment": str(segment.id), "name": segment.name, "colour": segment.colour}
            for segment in layer.segments
        ],
    }
