"""Searches by several examples, as the page asks for them."""

from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from embed.geometry import XyzFloat
from serve.catalogue import Catalogue
from serve.filters import (
    MAX_BOXES,
    MAX_LOOKED_UP,
    MAX_SEGMENTS,
    ClassFilter,
    Filters,
    LabelFilter,
)
from serve.metrics import Metrics
from serve.queries import MAX_EXAMPLES, Mode, Query, Wish
from serve.wire import codec
from serve.wire.json_answers import json_of

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
        typical_weight: of what is typical of the atlas; see `serve.queries.Query`.
        probe: name of a probe of the atlas, instead of places.
        label: its class; the one that is named as the probe where it is not said.
    """

    model_config = ConfigDict(extra="forbid")
    like: Places = []
    unlike: Places = []
    mode: Mode | None = None
    typical_weight: float = 0.0
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
            typical_weight=self.typical_weight,
            probe=self.probe or "",
            probe_class=self.label or "",
        )


class BoxOfPlaces(BaseModel):
    """A box in nm.

    Attributes:
        start: its lower corner.
        stop: its higher corner.
    """

    model_config = ConfigDict(extra="forbid")
    start: Position
    stop: Position


class ClassOfMap(BaseModel):
    """A class that the map of a probe says; see `serve.queries.ClassFilter`."""

    model_config = ConfigDict(extra="forbid")
    probe: Annotated[str, Field(max_length=64)]
    label: Annotated[str, Field(max_length=200)] = ""
    at_least: float | None = None


class Labelled(BaseModel):
    """What people labelled so; see `serve.queries.LabelFilter`."""

    model_config = ConfigDict(extra="forbid")
    label_set: Annotated[str, Field(max_length=64)]
    label: Annotated[str, Field(max_length=200)] = ""

    def filter(self) -> LabelFilter:
        """The same as a filter."""
        return LabelFilter(self.label_set, self.label)


# Also written as text, where one is beyond what numbers of JavaScript hold exactly.
Segments = Annotated[list[int], Field(max_length=MAX_SEGMENTS)]
Several = Field(max_length=MAX_LOOKED_UP)


class Limits(BaseModel):
    """Which places may be found; see `serve.queries.Filters`.

    Attributes:
        boxes_nm: that centres lie in, in any of them.
        segments: that places lie in, in any of them.
        not_segments: that they do not lie in.
        masks: names of masks that centres lie in, in any of them.
        classes: that maps of probes say, any of them.
        labels: that places are labelled so, in any of these ways.
        not_labels: that they are not labelled so, nor near what is.
    """

    model_config = ConfigDict(extra="forbid")
    boxes_nm: Annotated[list[BoxOfPlaces], Field(max_length=MAX_BOXES)] = []
    segments: Segments = []
    not_segments: Segments = []
    masks: Annotated[list[Annotated[str, Field(max_length=64)]], Several] = []
    classes: Annotated[list[ClassOfMap], Several] = []
    labels: Annotated[list[Labelled], Several] = []
    not_labels: Annotated[list[Labelled], Several] = []

    def filters(self) -> Filters:
        """The same as filters.

        Raises:
            RequestError: a box is empty, or a number is out of its range.
        """
        return Filters(
            boxes_nm=tuple((box.start.nm_xyz, box.stop.nm_xyz) for box in self.boxes_nm),
            segments=frozenset(self.segments),
            not_segments=frozenset(self.not_segments),
            masks=frozenset(self.masks),
            classes=tuple(ClassFilter(c.probe, c.label, c.at_least) for c in self.classes),
            labels=tuple(one.filter() for one in self.labels),
            not_labels=tuple(one.filter() for one in self.not_labels),
        )


class Search(Examples):
    """What to find.

    Attributes:
        k: how many places.
        min_separation_nm: least distance between two of them.
        per_segment: how many of one segment at most.
        at_least: the least similarity of a hit.
        filters: which places may be found.
    """

    k: int = 12
    min_separation_nm: float | None = None
    per_segment: int | None = None
    at_least: float | None = None
    filters: Limits = Limits()

    def wish(self) -> Wish:
        """How many places, and which.

        Raises:
            RequestError: a number is out of its range.
        """
        return Wish(
            self.k,
            self.min_separation_nm,
            filters=self.filters.filters(),
            at_least=self.at_least,
            per_segment=self.per_segment,
        )


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
