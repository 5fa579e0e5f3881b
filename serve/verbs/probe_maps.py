"""`voxkin probe apply`, `count` and `segments`: the map of a probe, and what it says."""

import csv
import dataclasses
import math
from pathlib import Path
from typing import Annotated, Literal

import tyro

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.volume import open_volume
from serve.mapping.apply import MapSummary, apply_probe
from serve.mapping.counts import Estimate, count_classes
from serve.mapping.export import export_map
from serve.mapping.segments import SegmentTable, summarise_segments
from serve.probes import load_probe
from serve.searching.class_maps import open_map
from serve.searching.place_segments import PlaceSegments
from serve.swap import replacing_file
from serve.verbs.arguments import AtlasPath, Count, Flag, Name, Out, Word
from serve.verbs.console import plain_table, print_json, print_table, progress, say

Radius = Annotated[float, tyro.conf.arg(metavar="NM")]


def apply(
    atlas: AtlasPath,
    /,
    name: Name,
    format: Literal["zarr", "precomputed", "ome-zarr"] = "zarr",
    smooth: Flag = False,
    json: Flag = False,
) -> None:
    """Writes the class probabilities of every location to ATLAS/maps: a map.

    On a grid that is NAME.zarr, an array of uint8 [z, y, x, class] in which 255 is certainty; of
    given places it is NAME.csv, a table with what names each, its segment and its place in nm.
    Other formats are made of it and hold the likeliest class besides, as segments with names. A run
    that was killed is gone on with when the same is asked for again.

    Examples:
      voxkin probe apply em.atlas --name mitochondria
      voxkin probe apply em.atlas --name mitochondria --format precomputed
      voxkin probe apply em.atlas --name mitochondria --format ome-zarr --smooth

    Args:
        atlas: the directory of the atlas.
        name: of a trained probe.
        format: what else to write: Neuroglancer's precomputed, or OME-Zarr 0.5.
        smooth: write that at the voxels of the volume, interpolated between locations.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    probe = load_probe(opened, name)
    if smooth and format == "zarr":
        raise ConfigError("--smooth is for --format precomputed or ome-zarr; choose one of them")
    if opened.info.points is not None and format != "zarr":
        raise ConfigError(f"{atlas} is of given places, whose map is a table: leave out --format")
    with progress("mapping", opened.planned, "locations") as advance:
        summary = apply_probe(opened, probe, lambda done, _: advance(done))
    path = summary.path
    if format != "zarr":
        with progress("writing", 0, "voxels") as advance:
            path = export_map(
                opened,
                probe,
                format,
                smooth=smooth,
                progress=lambda done, total: advance(done, total=total),
            )
    if json:
        print_json({**dataclasses.asdict(summary), "path": str(path)})
    else:
        _tell(summary, path)


def count(
    atlas: AtlasPath,
    /,
    name: Name,
    least: Count = 1,
    json: Flag = False,
) -> None:
    """Counts what the map of a probe says: volumes, objects and densities of each class.

    A location counts for its likeliest class, and stands for the volume of its cell. Objects are
    cells of a class that share faces: what touches is one, and what is smaller than a cell is not
    seen. Intervals of 95 % are by a bootstrap of blocks of space, in numbers of this volume alone;
    what the probe takes for something else is not in them.

    Example:
      voxkin probe count em.atlas --name mitochondria --least 3

    Args:
        atlas: the directory of the atlas.
        name: of a probe that was applied.
        least: locations of an object; smaller ones are not counted.
        json: print a JSON list.
    """
    opened = Atlas.open(atlas)
    read, kind = open_map(opened, name), load_probe(opened, name).kind
    with progress("counting", opened.grid.shape[0], "sections") as advance:
        counts = count_classes(
            opened, read, kind=kind, least=least, progress=lambda done, _: advance(done)
        )
    if json:
        print_json([dataclasses.asdict(each) for each in counts])
        return
    columns = "locations|share|volume um3|objects|objects per um3"
    table = plain_table(names="class", numbers=columns)
    for each in counts:
        table.add_row(
            each.name,
            f"{each.locations:,}",
            _interval(each.share, ".2%"),
            _interval(each.volume_um3, ".4g"),
            f"{each.objects:,}",
            _interval(each.per_um3, ".3g"),
        )
    print_table(table)


def segments(
    atlas: AtlasPath,
    /,
    name: Name,
    out: Out,
    segmentation: Word = None,
    radius: Radius = 0.0,
    json: Flag = False,
) -> None:
    """Writes what the map of a probe says of each segment: votes and mean probabilities.

    A location votes for its likeliest class, and is in the segment that the voxel in its middle is
    in. Before that, its probabilities may be averaged over the locations of its segment around it.

    Example:
      voxkin probe segments em.atlas --name subcompartments --segmentation cells.zarr
        --radius 500 --out segments.csv

    Args:
        atlas: the directory of the atlas.
        name: of a probe that was applied.
        out: the CSV file to write; one that is there is replaced.
        segmentation: volume of segment ids; not needed where given places came with segments.
        radius: nm around a location that its probabilities are averaged over.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    read = open_map(opened, name)
    known = PlaceSegments(opened, None if segmentation is None else open_volume(segmentation))
    with progress("summarising", opened.planned, "locations") as advance:
        table = summarise_segments(
            opened,
            read,
            known,
            radius_nm=radius,
            progress=lambda done, total: advance(done, total=total),
        )
    _write(table, out)
    if json:
        print_json({"out": str(out), "segments": len(table.segments)})
    else:
        say(f"{out} has {len(table.segments):,} segments")


def _tell(summary: MapSummary, path: Path) -> None:
    table = plain_table(names="class", numbers="locations|share")
    total = max(sum(summary.locations.values()), 1)
    for label, locations in summary.locations.items():
        table.add_row(label, f"{locations:,}", f"{locations / total:.1%}")
    print_table(table)
    say(f"the map is {path} ({summary.voids:,} locations are void)")


def _interval(estimate: Estimate, form: str) -> str:
    """As in "4.1 (3.2 to 5.0)"; the value alone where there is no interval."""
    if math.isnan(estimate.low):
        return format(estimate.value, form)
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"


def _write(table: SegmentTable, path: Path) -> None:
    votes, means = ([f"{what}_{c}" for c in table.classes] for what in ("votes", "probability"))
    columns = (table.segments, table.locations, table.votes, table.means.round(5))
    with replacing_file(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["segment_id", "locations", "class", *votes, *means])
        every = zip(*(column.tolist() for column in columns), table.elected, strict=True)
        for segment, locations, voted, mean, elected in every:
            rows.writerow([segment, locations, elected, *voted, *mean])
