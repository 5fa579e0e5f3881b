"""`voxkin probe`: teach a structure from a few labels, and map it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from embed.atlas import Atlas
from embed.probe import Probe
from serve.arguments import AtlasPath, Flag, Name, call_one_of
from serve.console import plain_table, print_json, print_table, progress, say
from serve.labels import read_labels
from serve.probes import apply_probe, list_probes, load_probe, train_atlas_probe

LabelFile = Annotated[Path, tyro.conf.arg(metavar="FILE.csv")]


def main(words: list[str]) -> None:
    """Parses and runs."""
    call_one_of(
        {"train": train, "apply": apply, "list": show},
        "probe",
        "Teaches a structure from a few labels, and maps it over the atlas.",
        words,
    )


def train(
    atlas: AtlasPath,
    /,
    labels: LabelFile,
    name: Name,
    json: Flag = False,
) -> None:
    """Trains a probe: a linear classifier of embeddings.

    The label file is CSV with the columns x_nm, y_nm, z_nm and label (or x_voxel, y_voxel, z_voxel
    and label); each row stands for the location nearest to it.

    Example:
      voxkin probe train em.atlas --labels mitochondria.csv --name mitochondria

    Args:
        atlas: the directory of the atlas.
        labels: the label file.
        name: up to 64 of a-z, 0-9, - and _; a probe of that name is replaced.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    probe = train_atlas_probe(opened, read_labels(labels, opened), name)
    if json:
        print_json(_report(probe))
        return
    print_table(_table([probe]))
    say(f"next: voxkin probe apply {atlas} --name {name}")


def apply(
    atlas: AtlasPath,
    /,
    name: Name,
    json: Flag = False,
) -> None:
    """Writes the class probabilities of every location to ATLAS/maps: a map.

    On a grid that is NAME.zarr, an array of uint8 [z, y, x, class] in which 255 is certainty; of
    given places it is NAME.csv, a table with what names each, its segment and its place in nm.

    Example:
      voxkin probe apply em.atlas --name mitochondria

    Args:
        atlas: the directory of the atlas.
        name: of a trained probe.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    probe = load_probe(opened, name)
    with progress("mapping", opened.planned, "locations") as advance:
        summary = apply_probe(opened, probe, lambda done, _: advance(done))
    if json:
        print_json({**dataclasses.asdict(summary), "path": str(summary.path)})
        return
    table = plain_table(names="class", numbers="locations|share")
    total = max(sum(summary.locations.values()), 1)
    for label, count in summary.locations.items():
        table.add_row(label, f"{count:,}", f"{count / total:.1%}")
    print_table(table)
    say(f"the map is {summary.path} ({summary.voids:,} locations are void)")


def show(atlas: AtlasPath, /, json: Flag = False) -> None:
    """Lists the probes of an atlas.

    Example:
      voxkin probe list em.atlas

    Args:
        atlas: the directory of the atlas.
        json: print a JSON list.
    """
    probes = list_probes(Atlas.open(atlas))
    if json:
        print_json([_report(probe) for probe in probes])
    elif probes:
        print_table(_table(probes))
    else:
        say(f"no probes yet; make one with: voxkin probe train {atlas} --labels FILE.csv --name …")


def _report(probe: Probe) -> dict[str, object]:
    return {
        "name": probe.name,
        "classes": list(probe.classes),
        "labels": probe.labels,
        "c": probe.c,
        "scores": dataclasses.asdict(probe.scores) if probe.scores else None,
        "unscored": probe.unscored,
        "created": probe.created,
    }


def _table(probes: Sequence[Probe]) -> Table:
    """One row per probe; the scores are of held-out labels."""
    table = plain_table(names="probe|labels", numbers="balanced accuracy|F1|mean AP|folds")
    for probe in probes:
        labels = ", ".join(f"{name} {count}" for name, count in probe.labels.items())
        scores = probe.scores
        if scores is None:
            table.add_row(probe.name, f"{labels} ({probe.unscored})", "-", "-", "-", "-")
            continue
        precision = sum(scores.average_precision.values()) / len(scores.average_precision)
        figures = (scores.balanced_accuracy, scores.f1, precision)
        table.add_row(probe.name, labels, *(f"{v:.3f}" for v in figures), str(scores.folds))
    return table
