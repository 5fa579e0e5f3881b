"""The places that `voxkin embed --points` and `--per-segment` name."""

import dataclasses
from pathlib import Path
from typing import get_args

import numpy as np

from embed.checkpoint import TrainedEncoder
from embed.errors import ConfigError, DataError
from embed.pointfiles.read import read_points
from embed.pointfiles.segmented import points_of_segments
from embed.pointfiles.table import Outside, PointTable, Unit
from embed.points import Points
from embed.volume import Volume
from serve.verbs.console import note
from serve.verbs.embed_arguments import WhatFlags

_LARGEST = 2**64 - 1
_NAMED = 5


def given_points(
    encoder: TrainedEncoder,
    volume: Volume,
    what: WhatFlags,
    segmentation: Volume | None,
    segments: tuple[int, ...],
) -> Points:
    """Reads or draws the places that are asked for, and notes what was left out.

    Raises:
        ConfigError: flags do not go together.
        OutOfBoundsError: a field of view leaves the volume and --skip-outside is not said.
        DataError, NotFoundError, MissingExtraError: the file cannot be read.
    """
    if what.points is not None and what.per_segment is not None:
        raise ConfigError("say which places with --points or with --per-segment, not with both")
    if what.points is not None:
        table = _read(what, volume, segments)
    else:
        table = _drawn(what, encoder, segmentation, segments, volume)
    outside: Outside = "skip" if what.skip_outside or what.points is None else "refuse"
    points, left_out = table.within(volume.box, encoder.fov, outside)
    if left_out:
        note(f"{left_out:,} of {len(table):,} points leave the volume and were left out")
    if table.ignored:
        note(f"columns of {table.name} that say nothing of a place: {', '.join(table.ignored)}")
    return points


def parse_segments(text: str | None) -> tuple[int, ...]:
    """Ids as in `--segments 12,77`, or a file with one in each line.

    Raises:
        ConfigError: one of them is no id.
    """
    if text is None:
        return ()
    path = Path(text)
    words = path.read_text().split() if path.is_file() else text.split(",")
    ids = [int(word) if word.strip().isdecimal() else -1 for word in words]
    bad = next((w for w, i in zip(words, ids, strict=True) if not 0 < i <= _LARGEST), None)
    if bad is not None or not ids:
        raise ConfigError(
            "--segments takes ids from 1 to 2^64 - 1, as in --segments 12,77, or a file with one "
            f"in each line; got {bad if bad is not None else text!r}"
        )
    return tuple(sorted(set(ids)))


def _read(what: WhatFlags, volume: Volume, segments: tuple[int, ...]) -> PointTable:
    units: tuple[Unit, ...] = get_args(Unit)
    unit = next((u for u in units if u == what.unit), None)
    if what.unit is not None and unit is None:
        raise ConfigError(f"--unit is one of {', '.join(units)}; got {what.unit!r}")
    assert what.points is not None
    return read_points(
        what.points,
        volume.frame,
        unit=unit,
        spacing_nm=what.spacing,
        segments=segments or None,
        relationship=what.relationship,
    )


def _drawn(
    what: WhatFlags,
    encoder: TrainedEncoder,
    segmentation: Volume | None,
    segments: tuple[int, ...],
    volume: Volume,
) -> PointTable:
    if segmentation is None:
        raise ConfigError("--per-segment needs a --segmentation to draw places from")
    assert what.per_segment is not None
    if what.per_segment < 1:
        raise ConfigError(f"--per-segment is a number of places; got {what.per_segment}")
    found = points_of_segments(
        segmentation, encoder.fov, what.per_segment, segments=set(segments) or None
    )
    for ids, why in ((found.shallow, "are nowhere deep enough"), (found.absent, "are not there")):
        if len(ids):
            few = ", ".join(map(str, np.asarray(ids)[:_NAMED].tolist()))
            more = ", …" if len(ids) > _NAMED else ""
            note(f"{len(ids):,} segments {why} and have no place: {few}{more}")
    if found.table is None:
        raise DataError(f"no segment of {segmentation.name} is deep enough for a place inside it")
    return _in_frame(found.table, volume)


def _in_frame(table: PointTable, volume: Volume) -> PointTable:
    """Places in a segmentation, which may have other voxels, as places in the volume."""
    nm_xyz = table.frame.to_nm_xyz(table.positions)
    positions = volume.frame.to_voxel(nm_xyz)
    return dataclasses.replace(table, frame=volume.frame, positions=positions)
