"""The outcome of an evaluation: for a program as JSON, for a person as one table."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from embed.geometry import Zyx

if TYPE_CHECKING:
    from rich.table import Table

Metrics = dict[str, float]


@dataclasses.dataclass(frozen=True)
class Result:
    """What a protocol found.

    Attributes:
        protocol: its name.
        encoder: fingerprint of the encoder.
        metrics: mean over seeds of each score of the encoder.
        sd: standard deviation over seeds, likewise.
        controls: means of the same scores for each control; one that a control cannot have is
            not there.
        sd_controls: their standard deviations.
        n: how many places, pairs or bodies there were.
        split: what was trained on and what tested, and why.
        seeds: of every draw.
        random_networks: random-initialised encoders behind the control of that name.
        fov: voxels that the encoder sees, ZYX.
        seconds: that the evaluation took.
    """

    protocol: str
    encoder: str
    metrics: Metrics
    sd: Metrics
    controls: dict[str, Metrics]
    sd_controls: dict[str, Metrics]
    n: dict[str, int]
    split: dict[str, Any]
    seeds: tuple[int, ...]
    random_networks: int
    fov: Zyx
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Values that JSON has; the field of view is named by axis."""
        value = dataclasses.asdict(self)
        z, y, x = value.pop("fov")
        return {**value, "seeds": list(self.seeds), "fov_voxels": {"x": x, "y": y, "z": z}}


def summarised(scores: Mapping[str, Sequence[float]]) -> tuple[Metrics, Metrics]:
    """Mean and standard deviation over seeds of every score."""
    mean = {name: float(np.mean(values)) for name, values in scores.items()}
    return mean, {name: float(np.std(values)) for name, values in scores.items()}


def render(result: Result) -> "Table":
    """One row for the encoder, one for each control; a column per score, mean above deviation."""
    from rich import box
    from rich.table import Table

    counts = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in result.n.items())
    split = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in result.split.items())
    table = Table(
        title=f"{result.protocol} · encoder {result.encoder}",
        caption=f"{counts}\n{split}\nmean ± s.d. over seeds {', '.join(map(str, result.seeds))}",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", overflow="fold", min_width=16)
    for metric in result.metrics:
        table.add_column(_heading(metric), justify="right", no_wrap=True)
    rows = {"encoder": (result.metrics, result.sd)} | {
        name: (mean, result.sd_controls[name]) for name, mean in result.controls.items()
    }
    for name, (mean, sd) in rows.items():
        cells = [_cell(mean, sd, metric) for metric in result.metrics]
        table.add_row(name, *cells, style="bold" if name == "encoder" else "")
    return table


def _heading(metric: str) -> str:
    """A score's name, broken where it may be, so that a dozen columns fit."""
    return metric.replace("@", "\n@").replace("_", "\n")


def _cell(mean: Metrics, sd: Metrics, metric: str) -> str:
    if metric not in mean:
        return "-"
    # A score that draws nothing at random has no deviation to show.
    spread = f"±{sd[metric]:.3f}" if sd[metric] >= 5e-4 else ""
    return f"{mean[metric]:.3f}\n{spread}"
