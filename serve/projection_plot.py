"""The picture of a projection."""

import io

import numpy as np

from serve.projection_table import Points

COLOURS = (
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#9c755f",
    "#edc948", "#76b7b2", "#ff9da7", "#1b5e20", "#6a3d9a", "#b15928",
)  # fmt: skip
"""Of the largest clusters; what people can tell apart in a scatter of small dots."""

_OTHERS, _NONE = "#7f7f7f", "#d0d0d0"


def draw_points(points: Points, title: str, note: str) -> bytes:
    """A PNG of 1500 x 1125 pixels: the points, coloured by cluster, with a legend.

    Args:
        points: of the map.
        title: what is shown.
        note: how it was made, in small print.
    """
    # The canvas without pyplot: nothing global, no display, safe beside a server.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    figure = Figure(figsize=(10, 7.5), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    size = float(np.clip(20_000 / max(len(points.ids), 1), 2, 30))
    for label, colour, chosen in _groups(points):
        x, y = points.xy[chosen].T
        axes.scatter(x, y, s=size, c=colour, label=label, linewidths=0, alpha=0.75)
    for cluster in range(min(int(points.clusters.max()) + 1, len(COLOURS))):
        x, y = np.median(points.xy[points.clusters == cluster], axis=0)
        number = axes.text(x, y, str(cluster), ha="center", va="center", fontweight="bold")
        number.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    axes.set(title=title, xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    legend = figure.legend(loc="outside right upper", title="cluster: places", frameon=False)
    for handle in legend.legend_handles:
        handle.set_sizes([40])  # type: ignore[union-attr]  # they are those of a scatter
    figure.supxlabel(note, fontsize=8, color="#555555")
    sink = io.BytesIO()
    canvas.print_png(sink)
    return sink.getvalue()


def _groups(points: Points) -> list[tuple[str, str, np.ndarray]]:
    """Label, colour and points of each entry of the legend; what has no cluster is drawn first."""
    groups = [("none: {:,}", _NONE, points.clusters < 0)]
    groups += [(f"{n}: {{:,}}", c, points.clusters == n) for n, c in enumerate(COLOURS)]
    groups += [("others: {:,}", _OTHERS, points.clusters >= len(COLOURS))]
    return [(text.format(int(w.sum())), colour, w) for text, colour, w in groups if w.any()]
