"""The recall of an index against the cost of a search, as a picture for people."""

from pathlib import Path

from serve.indexing.sweep import Step


def draw_sweep(path: Path, steps: tuple[Step, ...], chosen: Step, title: str) -> None:
    """Draws a PNG: a line for each number of candidates, a dot for each number of lists.

    Args:
        path: to write.
        steps: all that were measured.
        chosen: one of them, which is marked.
        title: of the picture.
    """
    # The object-oriented interface: pyplot would keep state for the whole process.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for candidates in sorted({step.candidates for step in steps}):
        line = [step for step in steps if step.candidates == candidates]
        costs = [max(step.cost_us, 0.1) for step in line]
        axes.plot(
            costs,
            [step.recall for step in line],
            "o-",
            markersize=3,
            label=f"{candidates} candidates",
        )
    chosen_cost = max(chosen.cost_us, 0.1)
    axes.plot([chosen_cost], [chosen.recall], "k*", markersize=14, label="as it is set")
    axes.annotate(
        f"{chosen.nprobe} lists",
        (chosen_cost, chosen.recall),
        (6, -12),
        textcoords="offset points",
    )
    axes.set(xscale="log", xlabel="CPU of a query, µs", ylabel="recall@10", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=100)
