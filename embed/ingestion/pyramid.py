"""Writes a volume as OME-Zarr 0.5 with downsampled levels (https://ngff.openmicroscopy.org/0.5)."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorstore as ts

from embed.formats.arrays import Json, context
from embed.formats.description import SPATIAL
from embed.formats.ome import centre
from embed.geometry import Box, Zyx, ZyxFloat, zyx, zyx_float
from embed.storage import write_json

Method = Literal["mean", "mode"]
"""Of voxels that become one: the mean of grey values, the most frequent of labels."""

CHUNK: Zyx = (128, 128, 128)
"""Voxels per chunk: 2 MB of uint8, enough for a request to a bucket to be worth its while, little
enough for a block of a few hundred voxels to waste few."""

_BLOCK_BYTES = 256 * 2**20
"""Most that is held of the source at once: 128 sections of 1024 x 2048 bytes. Writing takes as much
again."""

_THICKER = math.sqrt(2)
"""An axis is halved unless its voxels are longer than this times the shortest, so that levels
become more isotropic, never less."""


@dataclasses.dataclass(frozen=True)
class PlannedLevel:
    """One array of the pyramid.

    Attributes:
        path: its name in the group.
        shape: voxels, ZYX.
        voxel_size_nm: ZYX.
        factor: voxels of the level before that become one, ZYX.
    """

    path: str
    shape: Zyx
    voxel_size_nm: ZyxFloat
    factor: Zyx


def plan(shape: Zyx, voxel_size_nm: ZyxFloat, levels: int) -> list[PlannedLevel]:
    """The levels to write, at most `levels` of them; fewer once nothing is left to halve.

    >>> [level.shape for level in plan((64, 512, 512), (40.0, 10.0, 10.0), 4)]
    [(64, 512, 512), (64, 256, 256), (64, 128, 128), (32, 64, 64)]
    """
    planned = [PlannedLevel("0", shape, voxel_size_nm, (1, 1, 1))]
    while len(planned) < levels and max(planned[-1].shape) > 1:
        last = planned[-1]
        longest = _THICKER * min(
            length for length, n in zip(last.voxel_size_nm, last.shape, strict=True) if n > 1
        )
        factor = zyx(
            2 if n > 1 and length <= longest else 1
            for length, n in zip(last.voxel_size_nm, last.shape, strict=True)
        )
        half = zyx(-(-n // f) for n, f in zip(last.shape, factor, strict=True))
        size = zyx_float(s * f for s, f in zip(last.voxel_size_nm, factor, strict=True))
        planned.append(PlannedLevel(str(len(planned)), half, size, factor))
    return planned


def write_group(path: Path, planned: list[PlannedLevel], attributes: Json, method: Method) -> None:
    """Writes the metadata of the group; lower corners of all levels lie at 0 nm."""
    datasets = [
        {
            "path": level.path,
            "coordinateTransformations": [
                {"type": "scale", "scale": list(level.voxel_size_nm)},
                {
                    "type": "translation",
                    "translation": [centre(0.0, size) for size in level.voxel_size_nm],
                },
            ],
        }
        for level in planned
    ]
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in SPATIAL]
    image = {"name": path.name, "axes": axes, "datasets": datasets, "type": method}
    ome = {"version": "0.5", "multiscales": [image]}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {**attributes, "ome": ome}}
    write_json(path / "zarr.json", group)


def create_level(path: Path, level: PlannedLevel, dtype: np.dtype) -> ts.TensorStore:
    """Makes the empty array of a level; it names its axes and units by itself too."""
    chunk = zyx(map(min, CHUNK, level.shape))
    codecs: list[dict[str, Any]] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 5}},
    ]
    grid = {"name": "regular", "configuration": {"chunk_shape": list(chunk)}}
    units = [f"{size:.9g} nm" for size in level.voxel_size_nm]
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path / level.path}/"},
        "metadata": {
            "shape": list(level.shape),
            "data_type": dtype.name,
            "chunk_grid": grid,
            "codecs": codecs if dtype.itemsize > 1 else [{"name": "bytes"}, codecs[1]],
            "dimension_names": list(SPATIAL),
            "attributes": {"dimension_units": units},
        },
    }
    return ts.open(spec, create=True, context=context()).result()


def blocks(shape: Zyx, bytes_per_voxel: int) -> Iterator[Box]:
    """Boxes of whole chunks that cover an array, each of at most some 256 MB.

    Args:
        shape: of the array, ZYX.
        bytes_per_voxel: what reading one voxel of it takes.
    """
    z, y, x = map(min, CHUNK, shape)
    room = _BLOCK_BYTES // (z * bytes_per_voxel)  # voxels of a section
    across = min(shape[2], max(1, room // y // x) * x)
    down = min(shape[1], max(1, room // across // y) * y)
    yield from Box((0, 0, 0), shape).tiles((z, down, across))


def downsample(
    finer: ts.TensorStore, coarser: ts.TensorStore, factor: Zyx, method: Method, box: Box
) -> None:
    """Writes a box of a level from the level before it."""
    view = ts.downsample(finer, factor, method=method)
    coarser[box.slices].write(view[box.slices].read().result()).result()
