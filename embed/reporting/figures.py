"""The figures of a run, as its files hold them, and what each of them means."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embed.reporting.journal import Journal

METRICS = "metrics.jsonl"
"""Lines of training: the means of the steps since the line before."""

SCORES = "scores.jsonl"
"""Lines of saved states: what each makes of the watched and of the labelled places."""

PARTS = ("contrast", "filters")
"""Of the loss; where filters are switched off, the other part is all of it."""

RANK_ME = (
    "Effective rank of the embeddings of fixed places (RankMe). A fall to 1 is collapse. It does "
    "not rank recipes: a network before training had 49 of 64, a trained one 18, and every score "
    "of the trained one was higher."
)


@dataclasses.dataclass(frozen=True)
class Panel:
    """A chart.

    Attributes:
        title: above it.
        curves: keys of the lines, and their names.
        note: below it.
    """

    title: str
    curves: Mapping[str, str]
    note: str = ""


PANELS = (
    Panel("Loss", {"loss": "loss", "contrast": "contrastive", "filters": "filters"}),
    Panel("Partner found first, share", {"accuracy": "accuracy"}, "Of all places of a step."),
    Panel("Alignment", {"alignment": "alignment"}, "Distance of the two views; 0: they agree."),
    Panel(
        "Uniformity", {"uniformity": "uniformity"}, "0: all places are the same; -4: evenly spread."
    ),
    Panel("Gradient, length", {"grad_norm": "gradient"}),
    Panel("RankMe", {"rank_me": "effective rank"}, RANK_ME),
    Panel(
        "Spread of the dimensions",
        {"spread": "mean", "spread_least": "least"},
        "Deviation of each dimension, 1 where places fill all alike; 0: the dimension is dead.",
    ),
    Panel(
        "Which volume a place is from",
        {"domain_accuracy": "linear probe", "domain_chance": "chance"},
        "Cross-validated. The nearer to chance, the better neighbours are found across volumes.",
    ),
    Panel(
        "Nearest neighbours of the same class",
        {"knn_accuracy": "mean recall", "knn_chance": "chance"},
        "Labels were never used for training; gallery and test are two halves of the volume.",
    ),
    Panel(
        "Few labels, average precision",
        {"ap_5": "5 a class", "ap_25": "25", "ap_100": "100", "probe_chance": "chance"},
        "Of linear probes; learnt in one half of the volume, scored in the other.",
    ),
    Panel(
        "Few labels, mean F1",
        {"f1_5": "5 a class", "f1_25": "25", "f1_100": "100", "probe_chance": "chance"},
        "Of linear probes; learnt in one half of the volume, scored in the other.",
    ),
    Panel("Places per second", {"places_per_s": "both views counted"}),
    Panel(
        "Waited for data, share of time",
        {"starved": "starved"},
        "While the device had nothing to do. Above a few per cent, keep the volume nearer.",
    ),
)


@dataclasses.dataclass(frozen=True)
class Figures:
    """All lines of a run.

    Attributes:
        metrics: of training.
        scores: of saved states.
    """

    metrics: tuple[dict[str, Any], ...]
    scores: tuple[dict[str, Any], ...]

    def of(self, key: str) -> tuple[tuple[float, float], ...]:
        """Step and value of every line that has a figure; none for a loss without parts."""
        lines = (*self.metrics, *self.scores)
        if key in PARTS and not any(line.get("filters") for line in lines):
            return ()
        return tuple((float(s["step"]), float(s[key])) for s in lines if key in s)

    @property
    def last(self) -> dict[str, float | int]:
        """The newest value of every figure."""
        return {key: line[key] for line in (*self.metrics, *self.scores) for key in line}

    @property
    def cost(self) -> float | None:
        """Share of the run's time that its reports took; None where nothing was trained yet."""
        elapsed = sum(line.get("elapsed_s", 0.0) for line in self.scores)
        if not (self.metrics and elapsed):
            return None
        return sum(line.get("report_s", 0.0) for line in self.scores) / elapsed


def read_figures(run: Path) -> Figures:
    """The figures of a run so far."""
    metrics, scores = (Journal(run / name).lines() for name in (METRICS, SCORES))
    return Figures(tuple(metrics), tuple(scores))


def main_figures(figures: Figures, dim: int) -> dict[str, str]:
    """The figures that a person asks for first, in words, by their names."""
    last, found = figures.last, {}
    losses = figures.of("loss")
    if losses:
        found["loss"] = f"{losses[-1][1]:.3f} (from {losses[0][1]:.3f})"
        found["partner found first"] = f"{last['accuracy']:.1%}"
    if "rank_me" in last:
        found["RankMe"] = f"{last['rank_me']:.1f} of {dim}"
    if "domain_accuracy" in last:
        found["volume told apart"] = (
            f"{last['domain_accuracy']:.0%} (chance {last['domain_chance']:.0%})"
        )
    if "knn_accuracy" in last:
        found["k-NN recall"] = f"{last['knn_accuracy']:.0%} (chance {last['knn_chance']:.0%})"
    for kind, name in (("ap", "AP"), ("f1", "F1")):
        sizes = [n for n in (5, 25, 100) if f"{kind}_{n}" in last]
        if sizes:
            found[f"{name}, {sizes[-1]} labels"] = (
                f"{last[f'{kind}_{sizes[-1]}']:.2f} (chance {last['probe_chance']:.2f})"
            )
    if "places_per_s" in last:
        found["speed"] = f"{last['places_per_s']:,.0f} places/s"
    if "starved" in last:
        found["waited for data"] = f"{last['starved']:.0%}"
    return found
