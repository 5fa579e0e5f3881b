"""The picture of a projection, as in a paper."""

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from serve.clusters.names import default_name
from serve.clusters.projection import ProjectionInfo
from serve.clusters.table import Points

Kind = Literal["png", "pdf", "svg"]

COLOURS = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#9c755f",
    "#edc948", "#76b7b2", "#ff9da7", "#1b5e20", "#6a3d9a", "#b15928",
)  # fmt: skip
"""Of the largest clusters; what people can tell apart in a scatter of small dots."""

_OTHERS, _NONE = "#7f7f7f", "#d0d0d0"


class Caption(NamedTuple):
    """What stands above a picture, and how it was made, in small print below it."""

    title: str
    note: str


def caption(atlas: str, info: ProjectionInfo, locations: int) -> Caption:
    """What to say of a map.

    Args:
        atlas: its name.
        info: how the map was made.
        locations: with data, that the sample is of.
    """
    config = info.config
    grouped = f"{info.clusters} clusters" if info.clusters else "no clusters"
    return Caption(
        f"Atlas {atlas}: UMAP of {info.points:,} of {locations:,} places, {grouped}",
        f"cosine, {config.neighbours} neighbours, min_dist {config.min_dist:g}, seed "
        f"{config.seed}; clusters of the map by HDBSCAN; distances on it have no unit",
    )


def draw_points(
    points: Points,
    text: Caption,
    names: Mapping[int, str] = MappingProxyType({}),
    kind: Kind = "png",
) -> bytes:
    """The points, coloured by cluster, with a legend: 1500 x 1125 pixels, or 10 x 7.5 inches.

    Args:
        points: of the map.
        text: around it.
        names: of the clusters that have one.
        kind: of the file; in a PDF or SVG the points are pixels and the text is text.
    """
    # The canvas without pyplot: nothing global, no display, safe beside a server.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    figure = Figure(figsize=(10, 7.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    size = float(np.clip(20_000 / max(len(points.ids), 1), 2, 30))
    for label, colour, chosen in _groups(points, names):
        x, y = points.xy[chosen].T
        dots = axes.scatter(x, y, s=size, c=colour, label=label, linewidths=0, alpha=0.75)
        dots.set_rasterized(True)
    for cluster in range(int(points.clusters.max()) + 1):
        x, y = np.median(points.xy[points.clusters == cluster], axis=0)
        number = axes.text(x, y, str(cluster), ha="center", va="center", fontweight="bold")
        number.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    axes.set(title=text.title, xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    legend = figure.legend(loc="outside right upper", title="cluster: points", frameon=False)
    for handle in legend.legend_handles:
        handle.set_sizes([40])  # type: ignore[union-attr]  # they are those of a scatter
    figure.supxlabel(text.note, fontsize=8, color="#555555")
    sink = io.BytesIO()
    figure.savefig(sink, format=kind, dpi=150)
    return sink.getvalue()


def _groups(points: Points, names: Mapping[int, str]) -> list[tuple[str, str, np.ndarray]]:
    """Label, colour and points of each entry of the legend; what has no cluster is drawn first."""
    groups = [("none", _NONE, points.clusters < 0)]
    for number, colour in enumerate(COLOURS):
        label = f"{number} {names[number]}" if number in names else default_name(number)
        groups.append((label, colour, points.clusters == number))
    groups.append(("others", _OTHERS, points.clusters >= len(COLOURS)))
    # A name is no formula, which is what a dollar sign makes of it.
    return [
        (f"{label}: {int(where.sum()):,}".replace("$", r"\$"), colour, where)
        for label, colour, where in groups
        if where.any()
    ]
