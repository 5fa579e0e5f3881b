"""`voxkin probe`: teach a structure from a few labels, and map it."""

import dataclasses
from pathlib import Path

from rich.table import Table

from embed.atlas import Atlas
from embed.probe import Probe
from serve.arguments import AtlasPath, call_one_of
from serve.console import out, print_json, progress
from serve.labels import read_labels
from serve.probes import apply_probe, list_probes, load_probe, train_atlas_probe


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
    labels: Path,
    name: str,
    json: bool = False,
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
    out.print(_table([probe]))
    out.print(f"next: voxkin probe apply {atlas} --name {name}")


def apply(
    atlas: AtlasPath,
    /,
    name: str,
    json: bool = False,
) -> None:
    """Writes the class probabilities of every location to ATLAS/maps/NAME.zarr.

    Example:
      voxkin probe apply em.atlas --name mitochondria

    Args:
        atlas: the directory of the atlas.
        name: of a trained probe.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    probe = load_probe(opened, name)
    with progress("mapping", opened.grid.size, "locations") as advance:
        summary = apply_probe(opened, probe, lambda done, _: advance(done))
    if json:
        print_json({**dataclasses.asdict(summary), "path": str(summary.path)})
        return
    table = Table("class", "locations", "share")
    total = max(sum(summary.locations.values()), 1)
    for label, count in summary.locations.items():
        table.add_row(label, f"{count:,}", f"{count / total:.1%}")
    out.print(table)
    out.print(f"the map is {summary.path} ({summary.voids:,} locations are void)")


def show(atlas: AtlasPath, /, json: bool = False) -> None:
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
    else:
        out.print(_table(probes) if probes else "no probes yet; make one with: voxkin probe train")


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


def _table(probes: "list[Probe] | tuple[Probe, ...]") -> Table:
    table = Table("probe", "labels", "balanced accuracy", "F1", "mean AP", "folds")
    for probe in probes:
        labels = ", ".join(f"{name} {count}" for name, count in probe.labels.items())
        scores = probe.scores
        if scores is None:
            table.add_row(probe.name, labels, probe.unscored, "", "", "")
            continue
        precision = sum(scores.average_precision.values()) / len(scores.average_precision)
        figures = (scores.balanced_accuracy, scores.f1, precision)
        table.add_row(probe.name, labels, *(f"{v:.3f}" for v in figures), str(scores.folds))
    return table
