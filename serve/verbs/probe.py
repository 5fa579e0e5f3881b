"""`voxkin probe`: teach a structure from a few labels, ask what to label next, and map it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.probe import Probe
from embed.probing.class_prior import Wish as PriorWish
from embed.probing.linear import Kind
from serve.labels import read_labels
from serve.locations import locations_of
from serve.probes import (
    Teaching,
    list_probes,
    load_probe,
    probe_versions,
    roll_back,
    sample_of,
    train_atlas_probe,
)
from serve.probing import suggestions
from serve.probing.atlas_probes import labelled_places, pool_of, read_sets
from serve.verbs.arguments import AtlasPath, Count, Flag, Name, Whole, Word, call_one_of, left_out
from serve.verbs.console import note, plain_table, print_json, print_table, say
from serve.verbs.probe_maps import apply, count, segments

_UNSAID = tyro.conf.arg(help_behavior_hint="")
LabelFile = Annotated[Path | None, left_out(Path, "FILE.csv"), _UNSAID]
SetNames = Annotated[
    str | None, left_out(str, "NAME,…"), tyro.conf.arg(name="set", help_behavior_hint="")
]
AnyName = Annotated[str | None, left_out(str, "NAME"), _UNSAID]
Prior = Annotated[str, tyro.conf.arg(metavar="estimated|none|CLASS=SHARE,…")]


def main(words: list[str]) -> None:
    """Parses and runs."""
    call_one_of(
        {
            "train": train,
            "suggest": suggest,
            "apply": apply,
            "count": count,
            "segments": segments,
            "list": show,
            "rollback": rollback,
        },
        "probe",
        "Teaches a structure from a few labels, and maps it over the atlas.",
        words,
    )


def train(
    atlas: AtlasPath,
    /,
    labels: LabelFile = None,
    set_names: SetNames = None,
    name: AnyName = None,
    kind: Kind = "multiclass",
    prior: Prior = "estimated",
    json: Flag = False,
) -> None:
    """Trains a probe: a linear classifier of embeddings. Earlier versions of its name stay.

    The label file is CSV with the columns x_nm, y_nm, z_nm and label (or x_voxel, y_voxel, z_voxel
    and label); each row stands for the location nearest to it. Or the labels of a class set are
    taken, as people gave them on the page or `voxkin labels import` brought them in.

    Examples:
      voxkin probe train em.atlas --labels mitochondria.csv --name mitochondria
      voxkin probe train em.atlas --set structures --prior mitochondrion=0.06,other=0.94

    Args:
        atlas: the directory of the atlas.
        labels: the label file.
        set_names: a class set of the atlas, instead of a file; or several with commas between,
            whose classes are decided each alone.
        name: up to 64 of a-z, 0-9, - and _; that of the set, if not given.
        kind: multiclass: a place is of one class; multilabel: every class is decided alone, and a
            place may have several rows.
        prior: how common the classes are in the volume: estimated from the atlas, none (all alike),
            or the share of each.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    sets = [] if set_names is None else set_names.split(",")
    if (labels is None) == (not sets):
        raise ConfigError("a probe learns from --labels FILE.csv or from --set NAME; give one")
    called = name or (sets[0] if sets else "")
    if not called:
        raise ConfigError("give the probe a name with --name")
    teaching = Teaching(kind=kind, prior=_prior(prior), labels=f"file {labels}")
    if labels is not None:
        probe = train_atlas_probe(opened, read_labels(labels, opened), called, teaching)
    else:
        tables, told = read_sets(opened, sets)
        how = dataclasses.replace(teaching, labels=told)
        probe = train_atlas_probe(opened, tables, called, how)
    if json:
        print_json(_report(probe))
        return
    print_table(_table([probe]))
    _explain(probe)
    say(f"next: voxkin probe apply {atlas} --name {called}")


def suggest(
    atlas: AtlasPath,
    /,
    name: Name,
    k: Count = 12,
    kind: suggestions.Kind = "mixed",
    label: Word = None,
    csv: Flag = False,
    json: Flag = False,
) -> None:
    """Suggests the next places to label, from which a probe learns more than from random ones.

    Example:
      voxkin probe suggest em.atlas --name mitochondria --csv > next.csv

    Args:
        atlas: the directory of the atlas.
        name: of a trained probe.
        k: how many places, 1 to 100.
        kind: uncertain: hard to tell; likely: of a class; unknown: unlike anything labelled; mixed:
            likely and uncertain ones by turns.
        label: the class that places are to be likely of; that with fewest labels, if not given.
        csv: print a label file in which the column label is to be filled in.
        json: print a JSON list.
    """
    opened = Atlas.open(atlas)
    opened.require_complete()
    probe = load_probe(opened, name)
    wish = suggestions.Wish(k, kind, label or "")
    wish.require(probe)
    known = locations_of(opened, labelled_places(opened, probe))
    pool = pool_of(opened, sample_of(opened))
    found = suggestions.suggest(probe, pool, known, wish, seed=probe.version)
    if json:
        print_json([dataclasses.asdict(place) for place in found])
    elif csv:
        rows = ("{:g},{:g},{:g},".format(*place.position_nm_xyz) for place in found)
        say("\n".join(("x_nm,y_nm,z_nm,label", *rows)))
    else:
        table = plain_table(names="why", numbers="x nm|y nm|z nm|uncertainty|unknown")
        for place in found:
            xyz = (f"{value:g}" for value in place.position_nm_xyz)
            table.add_row(place.why, *xyz, f"{place.uncertainty:.2f}", f"{place.unknown:.2f}")
        print_table(table)
    if len(found) < k:
        note(f"only {len(found)} places are a field of view apart and not labelled")


def show(atlas: AtlasPath, /, name: AnyName = None, json: Flag = False) -> None:
    """Lists the probes of an atlas, or the versions of one.

    Examples:
      voxkin probe list em.atlas
      voxkin probe list em.atlas --name mitochondria

    Args:
        atlas: the directory of the atlas.
        name: of a probe, to list its versions; the last is in use.
        json: print a JSON list.
    """
    opened = Atlas.open(atlas)
    probes = list_probes(opened) if name is None else probe_versions(opened, name)
    if json:
        print_json([_report(probe) for probe in probes])
    elif probes:
        print_table(_table(probes))
    else:
        say(f"no probes yet; make one with: voxkin probe train {atlas} --labels FILE.csv --name …")


def rollback(atlas: AtlasPath, /, name: Name, to: Whole = None, json: Flag = False) -> None:
    """Puts an earlier version of a probe in use: a copy of it becomes the newest version.

    Example:
      voxkin probe rollback em.atlas --name mitochondria --to 2

    Args:
        atlas: the directory of the atlas.
        name: of the probe.
        to: the version; what was trained before the one in use, if not given.
        json: print a JSON report.
    """
    probe = roll_back(Atlas.open(atlas), name, to)
    if json:
        print_json(_report(probe))
        return
    print_table(_table([probe]))
    say(f"version {probe.version} is in use, a copy of version {probe.restored}")


def _prior(text: str) -> PriorWish:
    if text in ("estimated", "none"):
        return "none" if text == "none" else "estimated"
    try:
        pairs = (part.rsplit("=", 1) for part in text.split(","))
        return {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise ConfigError(
            "--prior takes estimated, none or the share of each class, as in "
            f"--prior mitochondrion=0.06,other=0.94; got {text!r}"
        ) from None


def _report(probe: Probe) -> dict[str, object]:
    return {
        "name": probe.name,
        "version": probe.version,
        "restored": probe.restored,
        "kind": probe.kind,
        "classes": list(probe.classes),
        "labels": probe.labels,
        "labels_from": probe.origin.labels,
        "c": probe.c,
        "prior": probe.prior.shares,
        "prior_source": probe.prior.source,
        "scores": dataclasses.asdict(probe.scores) if probe.scores else None,
        "unscored": probe.unscored,
        "learning_curve": [dataclasses.asdict(point) for point in probe.curve],
        "created": probe.created,
    }


def _table(probes: Sequence[Probe]) -> Table:
    """One row per probe; the scores are of held-out labels."""
    table = plain_table(names="probe|labels", numbers="version|balanced accuracy|F1|mean AP|folds")
    for probe in probes:
        labels = ", ".join(f"{name} {count}" for name, count in probe.labels.items())
        scores, version = probe.scores, str(probe.version)
        if scores is None:
            table.add_row(probe.name, f"{labels} ({probe.unscored})", version, *"----")
            continue
        precision = sum(scores.average_precision.values()) / len(scores.average_precision)
        figures = (scores.balanced_accuracy, scores.f1, precision)
        row = (f"{v:.3f}" for v in figures)
        table.add_row(probe.name, labels, version, *row, str(scores.folds))
    return table


def _explain(probe: Probe) -> None:
    """What more there is to say of a new probe."""
    shares = ", ".join(f"{name} {share:.1%}" for name, share in probe.prior.shares.items())
    say(f"share of the volume ({probe.prior.source}): {shares}")
    if probe.scores and probe.scores.calibration_error is not None:
        before, after = probe.scores.uncalibrated_error, probe.scores.calibration_error
        say(f"calibration error {after:.3f} (before: {before:.3f})")
    if probe.curve:
        curve = ", ".join(f"{at.labels}: {at.score:.2f} ± {at.deviation:.2f}" for at in probe.curve)
        say(f"balanced accuracy by labels: {curve}")
