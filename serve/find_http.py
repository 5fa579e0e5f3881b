"""Searches by several examples, as the page asks for them."""

from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from embed.geometry import XyzFloat
from serve import codec
from serve.catalogue import Catalogue
from serve.json_answers import json_of
from serve.metrics import Metrics
from serve.queries import MAX_EXAMPLES, Mode, Query, Wish

FIND = "/api/atlases/{name}/find"


class Position(BaseModel):
    """A position in nm."""

    model_config = ConfigDict(extra="forbid")
    x: float
    y: float
    z: float

    @property
    def nm_xyz(self) -> XyzFloat:
        """Its numbers."""
        return self.x, self.y, self.z


Places = Annotated[list[Position], Field(max_length=MAX_EXAMPLES)]


class Examples(BaseModel):
    """What places should be like.

    Attributes:
        like: places to be like.
        unlike: places to be unlike.
        mode: how they become one similarity; see `serve.queries.Mode`.
        probe: name of a probe of the atlas, instead of places.
        label: its class; the one that is named as the probe where it is not said.
    """

    model_config = ConfigDict(extra="forbid")
    like: Places = []
    unlike: Places = []
    mode: Mode | None = None
    probe: Annotated[str, Field(max_length=64)] | None = None
    label: Annotated[str, Field(max_length=200)] | None = None

    def query(self) -> Query:
        """The same as a query.

        Raises:
            RequestError: the examples do not go together.
        """
        return Query(
            like_nm_xyz=tuple(place.nm_xyz for place in self.like),
            unlike_nm_xyz=tuple(place.nm_xyz for place in self.unlike),
            mode=self.mode or "average",
            probe=self.probe or "",
            probe_class=self.label or "",
        )


class Search(Examples):
    """What to find.

    Attributes:
        k: how many places.
        min_separation_nm: least distance between two of them.
        per_segment: how many of one segment at most.
    """

    k: int = 12
    min_separation_nm: float | None = None
    per_segment: int | None = None

    def wish(self) -> Wish:
        """How many places, and which.

        Raises:
            RequestError: a number is out of its range.
        """
        return Wish(self.k, self.min_separation_nm, per_segment=self.per_segment)


def add_find(app: FastAPI, atlases: Catalogue, metrics: Metrics) -> None:
    """Adds the route."""

    @app.post(FIND)
    def find(name: str, search: Search) -> Response:
        """The places most like some places and unlike others, or of a probe's class."""
        served = atlases[name]
        query, wish = search.query(), search.wish()
        with metrics.searching(served.name):
            found = served.find(query, wish)
        return json_of(codec.search_result(found))
