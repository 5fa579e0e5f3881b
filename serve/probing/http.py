"""Probes for the page and for curl."""

import dataclasses
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from serve.catalogue import Catalogue
from serve.probes import Teaching
from serve.probing.suggestions import Kind, Suggestion, Wish
from serve.wire.answers import ProbeSummary

_MAX_SETS = 20

Nm = Annotated[float, Query(description="nm, in the frame of the volume")]


class Wanted(BaseModel):
    """A probe to train from the label store.

    Attributes:
        name: of the probe; that of the first set where it is not given.
        set: name of a class set.
        sets: names of several, whose classes are decided each alone; instead of `set`.
        prior: how common the classes are in the volume.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = ""
    set: str = ""
    sets: Annotated[list[str], Field(max_length=_MAX_SETS)] = []
    prior: Literal["estimated", "none"] | dict[str, float] = "estimated"


def add_probes(app: FastAPI, atlases: Catalogue) -> None:
    """Adds the routes."""

    @app.get("/api/atlases/{name}/probes")
    def list_probes(name: str) -> Response:
        """Every probe in use; who asks is likely to train one soon."""
        probing = atlases[name].probing
        probing.make_ready()
        return JSONResponse({"probes": list(map(_told, probing.summaries()))})

    @app.post("/api/atlases/{name}/probes")
    def train(name: str, wanted: Wanted) -> Response:
        """Trains a probe; earlier versions of its name stay."""
        sets = wanted.sets or ([wanted.set] if wanted.set else [])
        called = wanted.name or (sets[0] if sets else "")
        probe, seconds = atlases[name].probing.train_on_sets(
            sets, called, Teaching(prior=wanted.prior)
        )
        return JSONResponse({"probe": _told(probe), "seconds": round(seconds, 3)})

    @app.get("/api/atlases/{name}/probes/{probe}/suggestions")
    def suggestions(
        name: str, probe: str, k: int = 12, kind: Kind = "mixed", label: str = ""
    ) -> Response:
        """The next places to label."""
        places = atlases[name].probing.suggest(probe, Wish(k, kind, label))
        return JSONResponse({"places": list(map(_place, places))})

    @app.get("/api/atlases/{name}/probes/{probe}/at")
    def at(name: str, probe: str, x: Nm, y: Nm, z: Nm) -> Response:
        """What a probe says of a place."""
        return JSONResponse(dataclasses.asdict(atlases[name].probing.at(probe, (x, y, z))))


def _told(probe: ProbeSummary) -> dict[str, Any]:
    told = dataclasses.asdict(probe)
    return {**told, "learning_curve": told.pop("curve")}


def _place(place: Suggestion) -> dict[str, Any]:
    x, y, z = place.position_nm_xyz
    return {
        "position_nm": {"x": x, "y": y, "z": z},
        # 64-bit numbers are text, as JavaScript's have 53 bits.
        "location_id": str(place.id),
        "probabilities": place.probabilities,
        "uncertainty": place.uncertainty,
        "unknown": place.unknown,
        "why": place.why,
    }
