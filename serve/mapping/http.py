"""What the map of a probe says of a volume or its segments, over HTTP."""

import dataclasses
import math
from typing import Any, Literal

from fastapi import FastAPI

from serve.catalogue import Catalogue
from serve.mapping.counts import count_classes
from serve.mapping.segments import SegmentTable, summarise_segments
from serve.probes import load_probe
from serve.searching.class_maps import open_map
from serve.served import ServedAtlas

# Rows that a page shows; the command line writes them all.
_MOST_TOLD = 1000


def add_maps(app: FastAPI, atlases: Catalogue) -> None:
    """Adds the route."""

    @app.get("/api/atlases/{name}/maps/summary")
    def summary(
        name: str, probe: str, per: Literal["volume", "segment"] = "volume", radius_nm: float = 0.0
    ) -> dict[str, Any]:
        """A table of the map of a probe that was applied: by class, or by segment."""
        served = atlases[name]
        # Minutes for a large map, so one at a time.
        with served.slot.holding(f"summarising the map of probe {probe[:64]!r}"):
            if per == "volume":
                return _by_class(served, probe)
            return _by_segment(served, probe, radius_nm)


def _by_class(served: ServedAtlas, probe: str) -> dict[str, Any]:
    kind = load_probe(served.atlas, probe).kind
    counts = count_classes(served.atlas, open_map(served.atlas, probe), kind=kind)
    return {"per": "volume", "classes": [_finite(dataclasses.asdict(one)) for one in counts]}


def _by_segment(served: ServedAtlas, probe: str, radius_nm: float) -> dict[str, Any]:
    read = open_map(served.atlas, probe)
    table = summarise_segments(served.atlas, read, served.place_segments, radius_nm=radius_nm)
    largest = (-table.locations).argsort(kind="stable")[:_MOST_TOLD]
    elected = table.elected
    rows = [_row(table, row, elected[row]) for row in largest.tolist()]
    return {"per": "segment", "segments": rows, "total": len(table.segments)}


def _row(table: SegmentTable, row: int, elected: str) -> dict[str, Any]:
    return {
        "segment_id": str(table.segments[row]),  # as 64 bits do not fit a double
        "locations": int(table.locations[row]),
        "class": elected,
        "votes": dict(zip(table.classes, table.votes[row].tolist(), strict=True)),
        "probabilities": dict(zip(table.classes, table.means[row].round(5).tolist(), strict=True)),
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN: an interval that is not known is null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
