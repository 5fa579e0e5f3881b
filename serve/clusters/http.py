"""The map and its clusters over HTTP."""

import dataclasses
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import FastAPI, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from serve.catalogue import Catalogue
from serve.clusters.clusters import Cluster
from serve.clusters.jobs import ProjectionJobs
from serve.wire import atlas_codec
from serve.wire.json_answers import json_of

_OF_ATLAS = "/api/atlases/{name}"
# Asked for under an address that names the map, which changes when that does.
_PICTURE = {"cache-control": "private, max-age=600"}

Nm = Annotated[float, Query(description="nm, in the frame of the volume")]


class Named(BaseModel):
    """What to call a cluster.

    Attributes:
        name: empty for its number.
    """

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=200)]


class Wanted(BaseModel):
    """The map to make.

    Attributes:
        sample: about how many places to lay out.
    """

    model_config = ConfigDict(extra="forbid")
    sample: Annotated[int, Field(ge=100, le=200_000)] = 20_000


def add_clusters(app: FastAPI, atlases: Catalogue) -> None:
    """Adds the routes."""
    jobs = ProjectionJobs()

    @app.get(_OF_ATLAS + "/projection")
    def projection(name: str) -> Response:
        """The points of the map, and its clusters with their names."""
        clusters = atlases[name].clusters
        version = clusters.version
        named = [_told(name, one, version) for one in clusters.listed()]
        return json_of(atlas_codec.projection(clusters.points()), named_clusters=named)

    @app.get(_OF_ATLAS + "/projection/place")
    def place(name: str, x: Nm, y: Nm, z: Nm) -> dict[str, Any]:
        """Where a place lies on the map."""
        placed = atlases[name].clusters.place_at((x, y, z))
        return {"umap_x": placed.x, "umap_y": placed.y, "cluster": placed.cluster}

    @app.post(_OF_ATLAS + "/projection")
    def make(name: str, wanted: Wanted | None = None) -> dict[str, Any]:
        """Starts to make the map, which takes minutes."""
        return {"job": jobs.start(atlases[name], (wanted or Wanted()).sample).state}

    @app.get(_OF_ATLAS + "/projection/progress")
    def progress(name: str) -> dict[str, Any]:
        """How far the map is."""
        return dataclasses.asdict(jobs.progress(atlases[name]))

    @app.put(_OF_ATLAS + "/clusters/{number}")
    def call(name: str, number: int, named: Named) -> dict[str, Any]:
        """Names a cluster."""
        clusters = atlases[name].clusters
        return _told(name, clusters.name(number, named.name), clusters.version)

    @app.get(_OF_ATLAS + "/clusters/{number}/montage.png")
    def montage(name: str, number: int) -> Response:
        """A picture of the most typical places of a cluster."""
        png = atlases[name].clusters.montage(number)
        return Response(png, media_type="image/png", headers=_PICTURE)


def _told(atlas: str, cluster: Cluster, version: str) -> dict[str, Any]:
    suggestion = cluster.suggestion
    path = f"api/atlases/{quote(atlas, safe='')}/clusters/{cluster.number}/montage.png"
    return {
        "number": cluster.number,
        "name": cluster.name,
        "size": cluster.size,
        "suggestion": suggestion.text if suggestion else "",
        "suggested_by": suggestion.source if suggestion else "",
        "montage": f"{path}?of={quote(version, safe='')}",
    }
