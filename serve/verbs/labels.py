"""`voxkin labels`: what places of an atlas are labelled as, in and out of every format."""

import dataclasses
import getpass
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.volume import open_volume
from serve.labelling.classes import checked_set_name, with_more
from serve.labelling.exporting import export_labels
from serve.labelling.formats import Format, format_of, read_file, save, written
from serve.labelling.importing import import_labels
from serve.labelling.places import LabelFile, Skipped
from serve.labelling.store import LabelStore
from serve.verbs.arguments import (
    AtlasPath,
    Flag,
    Out,
    Word,
    call_one_of,
    left_out,
    parse_voxel_size,
)
from serve.verbs.console import note, plain_table, print_json, print_table, say

_UNSAID = tyro.conf.arg(help_behavior_hint="")
LabelSource = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
SetName = Annotated[str, tyro.conf.arg(name="set", metavar="NAME")]
AnySet = Annotated[
    str | None, left_out(str, "NAME"), tyro.conf.arg(name="set", help_behavior_hint="")
]
AnyFormat = Literal["auto", "csv", "cave", "precomputed"]
Voxels = Annotated[str | None, left_out(str, "X,Y,Z"), _UNSAID]
VolumeName = Annotated[str | None, left_out(str, "VOLUME"), _UNSAID]

# Rows that were left out, of which so many are told; --json tells all.
_TOLD = 10


def main(words: list[str]) -> None:
    """Parses and runs."""
    call_one_of(
        {
            "list": show,
            "sets": show_sets,
            "import": bring,
            "export": export,
            "undo": undo,
            "convert": convert,
        },
        "labels",
        "What places of an atlas are labelled as, in and out of every format.",
        words,
    )


def show(atlas: AtlasPath, /, set_name: AnySet = None, json: Flag = False) -> None:
    """Lists the labels of an atlas.

    Example:
      voxkin labels list em.atlas --set structures

    Args:
        atlas: the directory of the atlas.
        set_name: only of this class set.
        json: print a JSON list.
    """
    store = LabelStore.open(Atlas.open(atlas))
    names = [known.name for known in store.sets()] if set_name is None else [set_name]
    labels = [label for name in names for label in store.labels(name)]
    if json:
        print_json([dataclasses.asdict(label) for label in labels])
        return
    if not labels:
        say(f"no labels yet; bring some in with: voxkin labels import {atlas} FILE --set NAME")
        return
    table = plain_table(names="set|label|author|time|source", numbers="id|x nm|y nm|z nm")
    for v in labels:
        place = (f"{nm:g}" for nm in v.position_nm_xyz)
        table.add_row(v.set, v.label, v.author, v.time, v.source, str(v.id), *place)
    print_table(table)


def show_sets(atlas: AtlasPath, /, json: Flag = False) -> None:
    """Lists the class sets of an atlas.

    Example:
      voxkin labels sets em.atlas

    Args:
        atlas: the directory of the atlas.
        json: print a JSON list.
    """
    found = LabelStore.open(Atlas.open(atlas)).sets()
    if json:
        print_json([dataclasses.asdict(known) for known in found])
        return
    if not found:
        say(f"no class sets yet; an import makes one: voxkin labels import {atlas} FILE --set NAME")
        return
    table = plain_table(names="set|class|colour|key", numbers="labels")
    for known in found:
        for one, labels in zip(known.classes, known.labels, strict=True):
            table.add_row(known.name, one.name, one.colour, one.key or "-", f"{labels:,}")
    print_table(table)


def bring(
    atlas: AtlasPath,
    source: LabelSource,
    /,
    set_name: SetName,
    format: AnyFormat = "auto",
    resolution: Voxels = None,
    property: Word = None,
    author: Word = None,
    strict: Flag = False,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Brings the labels of a file into an atlas; one undo takes them all back.

    Rows outside the atlas are left out and told, as are all but the last of those at one location.
    The class set and its classes are made where they are not there.

    Examples:
      voxkin labels import em.atlas mitochondria.csv --set structures
      voxkin labels import em.atlas cells.csv --set cell_type --resolution 4,4,40 --dry-run
      voxkin labels import em.atlas precomputed://gs://bucket/annotations --set compartments

    Args:
        atlas: the directory of the atlas.
        source: CSV with x_nm, y_nm, z_nm (or x_voxel, …) and label; a table of CAVE as CSV; or
            the folder or URL of precomputed annotations.
        set_name: of the class set, 1 to 64 of a-z, 0-9, - and _.
        format: of the source; auto looks at what it is.
        resolution: of a CAVE table: edge lengths in nm of the voxels that its positions are in;
            1,1,1 where they are in nm.
        property: of annotations: the property that is the class, where several may be.
        author: who says so where the file does not; the one who is logged in, if not given.
        strict: import nothing where a row would be left out.
        dry_run: only tell what would be imported.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    system = checked_set_name(set_name)
    file = _read(source, format, resolution, frame=opened.frame, system=system, property=property)
    name = Path(source).name[:80]
    done = import_labels(
        opened, file, set_name, author or _author(), name, strict=strict, dry_run=dry_run
    )
    if json:
        print_json({**dataclasses.asdict(done), "dry_run": dry_run})
        return
    _print_counts(done.classes)
    _tell_skipped(done.skipped, file.unit)
    if done.voids:
        note(f"of these {done.voids:,} where there are no data, of which no probe can learn")
    verb = "would be imported" if dry_run else "imported"
    say(f"{done.imported:,} labels {verb}, {len(done.skipped):,} rows left out")


def export(
    atlas: AtlasPath,
    /,
    set_name: SetName,
    out_path: Out,
    format: Format = "csv",
    resolution: Voxels = None,
    segmentation: VolumeName = None,
    json: Flag = False,
) -> None:
    """Writes the labels of a class set to a file, or a folder of annotations.

    Example:
      voxkin labels export em.atlas --set structures --out annotations --format precomputed

    Args:
        atlas: the directory of the atlas.
        set_name: of the class set.
        out_path: of the file, or of the folder of annotations; nothing may be there.
        format: csv, cave or precomputed.
        resolution: of a CAVE table: edge lengths in nm of the voxels to write positions in; in nm
            if not given.
        segmentation: volume of segment ids, which tells the segment of each label.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    content = export_labels(
        opened,
        set_name,
        format,
        resolution_nm=parse_voxel_size(resolution, "--resolution"),
        segmentation=None if segmentation is None else open_volume(segmentation),
    )
    save(content, out_path)
    count = len(LabelStore.open(opened).labels(set_name))
    _tell_written(count, out_path, json)


def undo(atlas: AtlasPath, /, author: Word = None, json: Flag = False) -> None:
    """Takes back what an author did last: labels, a removal, a whole import.

    Example:
      voxkin labels undo em.atlas

    Args:
        atlas: the directory of the atlas.
        author: whose last action; the one who is logged in, if not given.
        json: print a JSON report.
    """
    undone, revision = LabelStore.open(Atlas.open(atlas)).undo(author or _author())
    if json:
        print_json({"undone": undone, "revision": revision})
    else:
        say(undone)


def convert(
    source: LabelSource,
    /,
    to: Format,
    out_path: Out,
    format: AnyFormat = "auto",
    resolution: Voxels = None,
    to_resolution: Voxels = None,
    property: Word = None,
    set_name: AnySet = None,
    json: Flag = False,
) -> None:
    """Turns labels of one format into another; needs no atlas.

    Example:
      voxkin labels convert precomputed://gs://bucket/annotations --to cave --out table.csv

    Args:
        source: as in `voxkin labels import`.
        to: csv, cave or precomputed.
        out_path: of the file, or of the folder of annotations; nothing may be there.
        format: of the source; auto looks at what it is.
        resolution: of a CAVE table that is read: edge lengths in nm of the voxels of its positions.
        to_resolution: of a CAVE table that is written; in nm if not given.
        property: of annotations that are read: the property that is the class.
        set_name: classification system of a CAVE table: the one to read, where it has several,
            and the one to write; labels, if not given.
        json: print a JSON report.
    """
    file = _read(source, format, resolution, system=set_name, property=property)
    classes = with_more((), (place.label for place in file.places))
    content = written(
        file.places,
        to,
        classes=classes,
        system=set_name or "labels",
        resolution_nm=parse_voxel_size(to_resolution, "--to-resolution"),
    )
    save(content, out_path)
    if not json:
        _print_counts(Counter(place.label for place in file.places))
        _tell_skipped(file.skipped, file.unit)
    _tell_written(len(file.places), out_path, json)


def _read(source: str, format: AnyFormat, resolution: str | None, **more: Any) -> LabelFile:
    more["resolution_nm"] = parse_voxel_size(resolution, "--resolution")
    return read_file(source, format_of(source) if format == "auto" else format, **more)


def _tell_written(count: int, out: Path, json: bool) -> None:
    if json:
        print_json({"labels": count, "path": str(out)})
    else:
        say(f"{count:,} labels are in {out}")


def _print_counts(counts: dict[str, int]) -> None:
    table = plain_table(names="class", numbers="labels")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    print_table(table)


def _tell_skipped(skipped: Sequence[Skipped], unit: str) -> None:
    for row in skipped[:_TOLD]:
        note(f"left out {unit} {row.line}: {row.why}")
    if len(skipped) > _TOLD:
        note(f"and {len(skipped) - _TOLD:,} more, which --json tells")


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        raise ConfigError("say who you are with --author NAME") from None
