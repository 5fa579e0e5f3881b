"""The flags of `voxkin embed`, by what they are about."""

import dataclasses
from typing import Annotated, Any

import tyro

from serve.verbs.arguments import (
    Axes,
    Count,
    Flag,
    Folder,
    Number,
    Region,
    Size,
    Whole,
    Word,
    left_out,
)
from serve.verbs.engine_flags import EngineFlags

Price = Annotated[float | None, left_out(float, "X"), tyro.conf.arg(help_behavior_hint="")]


@dataclasses.dataclass(frozen=True)
class VolumeFlags:
    """How to take the volume.

    Attributes:
        voxel_size: in nm, where the volume does not state it.
        axes: one letter per dimension in the order of the store, where it does not name them.
        level: of a multiscale volume, 0 for the first.
        channel: of a volume with several.
        any_voxel_size: embed a volume of another voxel size than the encoder was made for.
    """

    voxel_size: Size = None
    axes: Axes = None
    level: Whole = None
    channel: Whole = None
    any_voxel_size: Flag = False


@dataclasses.dataclass(frozen=True)
class WhatFlags:
    """Which locations.

    Attributes:
        stride: voxels between locations: multiples of the encoder's own, which is the default, or
            such that divide it.
        box: voxels to embed, stops excluded; the whole volume if not given.
        mask: volume of any voxel size: only where it is not 0.
        segmentation: volume of segment ids. On a grid: only on --segments of it. With --points or
            --per-segment and an encoder that was trained so, fields of view show one segment alone.
        segments: ids in --segmentation, separated by commas, or a file with one in each line.
        extend: add what is asked for to what the atlas holds already.
        points: embed given places instead of a grid: a CSV or Parquet file with the columns
            x_nm, y_nm, z_nm (or x, y, z and --unit; and segment, id), SWC files, precomputed
            annotations or skeletons.
        per_segment: embed so many places inside each of --segments, or of all.
        unit: of x, y, z in --points: nm, um or voxel.
        spacing: of skeletons in --points: least distance in nm between nodes that are taken.
        relationship: of annotations in --points: the one that names their segment.
        skip_outside: leave out points whose field of view leaves the volume.
    """

    stride: Size = None
    box: Region = None
    mask: Word = None
    segmentation: Word = None
    segments: Word = None
    extend: Flag = False
    points: Word = None
    per_segment: Whole = None
    unit: Word = None
    spacing: Number = None
    relationship: Word = None
    skip_outside: Flag = False


@dataclasses.dataclass(frozen=True)
class HowFlags:
    """How it is computed and stored.

    Attributes:
        backend: openvino or xla; the fastest that is installed if not given.
        precision: float32 or bfloat16; float32 on CPUs and bfloat16 on accelerators if not given.
        store: float16, which is the default, or int8 for half the bytes at a recall of 0.99.
        memory: MB that a block of the network may take: larger blocks are computed faster.
    """

    backend: Word = None
    precision: Word = None
    store: Word = None
    memory: Count = 512


@dataclasses.dataclass(frozen=True)
class WhereFlags(EngineFlags):
    """Where it runs.

    Attributes:
        part: I/N for the I-th (from 0) of N jobs that share the atlas, as in a job array.
    """

    part: Word = None


@dataclasses.dataclass(frozen=True)
class TellFlags:
    """What it tells.

    Attributes:
        dry_run: say how many locations, bytes and operations it would be, how long it would take
            here and what that would cost, and write nothing.
        price: of an hour of this machine, for --dry-run.
        verify_only: re-read what is there against its checksums, recompute a sample of it, and mark
            what does not agree to be done again.
        recompute: shards of that sample.
        events: a file to append one JSON object to per shard.
        metrics: a port of this machine's loopback to serve Prometheus metrics on.
        json: print a JSON report.
    """

    dry_run: Flag = False
    price: Price = None
    verify_only: Annotated[bool, tyro.conf.arg(name="verify", help_behavior_hint="")] = False
    recompute: Count = 1
    events: Folder = None
    metrics: Whole = None
    json: Flag = False


def _plain(kind: Any) -> Any:
    return Annotated[kind, tyro.conf.arg(name="")]


VolumeGroup = _plain(VolumeFlags)
WhatGroup = _plain(WhatFlags)
HowGroup = _plain(HowFlags)
WhereGroup = _plain(WhereFlags)
TellGroup = _plain(TellFlags)
