"""What `voxkin info` says about a source: its metadata, and a small sample of its voxels."""

import dataclasses
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from embed.errors import DataError, VolumeError
from embed.formats.arrays import Json
from embed.formats.description import SPATIAL, Description, Level, axis_name
from embed.formats.metadata import describe
from embed.geometry import Box, XyzFloat, Zyx, ZyxFloat, zyx
from embed.volume import Volume, open_volume

_SAMPLE: Zyx = (64, 256, 256)
"""Voxels of the central sample, ZYX: 4 MB of uint8, a second over a home line."""

_PROBES = 4
"""Places looked at along every axis for voids: 64 in all, so a void of a tenth is rarely missed."""

_PROBE: Zyx = (4, 16, 16)
"""Voxels read of each, ZYX: more than a speck of black, less than the smallest chunk."""


@dataclasses.dataclass(frozen=True)
class Summary:
    """Statistics of samples of a volume.

    Attributes:
        minimum, maximum, mean: over the central sample.
        sampled: the central sample.
        void_fraction: of 64 small boxes spread evenly over the volume, those that are 0 throughout:
            not imaged, or never written.
    """

    minimum: float
    maximum: float
    mean: float
    sampled: Box
    void_fraction: float


def summarize(volume: Volume) -> Summary:
    """Statistics of the centre of a volume, and of small boxes spread over it.

    Raises:
        DataError: a chunk cannot be read.
    """
    sampled = _centred(volume.box, _SAMPLE)
    voxels = volume.read(sampled)
    with ThreadPoolExecutor(max_workers=16) as pool:  # remote chunks are fetched side by side
        probes = list(pool.map(volume.read, _spread(volume.box)))
    return Summary(
        minimum=float(voxels.min()),
        maximum=float(voxels.max()),
        mean=float(voxels.mean(dtype=np.float64)),
        sampled=sampled,
        void_fraction=float(np.mean([not probe.any() for probe in probes])),
    )


def info_json(
    source: str | Path | Mapping[str, Any],
    *,
    voxel_size_nm: XyzFloat | None = None,
    axes: str | None = None,
    at_voxel_size_nm: ZyxFloat | None = None,
    level: int | None = None,
    channel: int | None = None,
) -> Json:
    """Everything about a source that a program may want, with x, y, z by name.

    Args: as for `embed.volume.open_volume`.

    Returns:
        A JSON object. `axes` and `shape` are in the order of the store, and so are the levels.
        `opens_as_volume` says whether `open_volume` takes it as it stands; if not, `reason` says
        what to pass, and if so there follow the `level` taken, `box` (voxels), `voxel_size_nm`,
        `origin_nm`, `extent_um`, `bytes` and the `sample`, which is null with a `sample_error`
        where the voxels cannot be read.

    Raises:
        VolumeError: there is no array, or one that cannot be decoded.
    """
    description = describe(source)
    info = _described(description)
    try:
        volume = open_volume(
            source,
            voxel_size_nm=voxel_size_nm,
            axes=axes,
            at_voxel_size_nm=at_voxel_size_nm,
            level=level,
            channel=channel,
        )
    except VolumeError as error:
        return {**info, "opens_as_volume": False, "reason": str(error)}
    return {**info, "opens_as_volume": True, "reason": None, **_opened(volume), **_sample(volume)}


def _described(description: Description) -> Json:
    attributes = description.attributes
    return {
        "name": description.source.name,
        "source": description.source.url,
        "format": description.format,
        "axes": list(description.axes),
        "shape": list(description.shape),
        "dtype": description.dtype,
        "voxel_size_nm": _named_sizes(description, description.levels[0]),
        "levels": [
            {
                "path": level.path,
                "shape": list(level.shape),
                "voxel_size_nm": _named_sizes(description, level),
            }
            for level in description.levels
        ],
        "licence": attributes.get("licence") or attributes.get("license"),
        "attributes": attributes,
        "notes": list(description.notes),
    }


def _named_sizes(description: Description, level: Level) -> Json | None:
    """Voxel sizes of the axes that have one stated; None where none has."""
    sizes = dict(zip(map(axis_name, description.axes), level.voxel_size_nm, strict=True))
    stated = {axis: sizes[axis] for axis in "xyz" if sizes.get(axis) is not None}
    return stated or None


def _opened(volume: Volume) -> Json:
    size = volume.frame.voxel_size_nm
    extent = [n * length / 1000 for n, length in zip(volume.box.shape, size, strict=True)]
    return {
        "level": volume.source.level,
        "box": {"start": _xyz(volume.box.start), "stop": _xyz(volume.box.stop)},
        "chunk": _xyz(volume.chunk),
        "voxel_size_nm": _xyz(size),
        "origin_nm": _xyz(volume.frame.origin_nm),
        "extent_um": _xyz(extent),
        "bytes": volume.box.size * volume.dtype.itemsize,
    }


def _sample(volume: Volume) -> Json:
    try:
        summary = summarize(volume)
    except DataError as error:
        return {"sample": None, "sample_error": str(error)}
    sampled = summary.sampled
    return {
        "sample": {
            "minimum": summary.minimum,
            "maximum": summary.maximum,
            "mean": summary.mean,
            "box": {"start": _xyz(sampled.start), "stop": _xyz(sampled.stop)},
            "void_fraction": summary.void_fraction,
        },
        "sample_error": None,
    }


def _xyz(values: Iterable[int] | Iterable[float]) -> Json:
    """A ZYX tuple by name, x first."""
    named = dict(zip(SPATIAL, values, strict=True))
    return {axis: named[axis] for axis in "xyz"}


def _centred(box: Box, shape: Zyx) -> Box:
    """The middle of a box, `shape` voxels or what there is."""
    size = zyx(map(min, box.shape, shape))
    start = zyx(a + (n - m) // 2 for a, n, m in zip(box.start, box.shape, size, strict=True))
    return Box.of_shape(size, start)


def _spread(box: Box) -> list[Box]:
    """Small boxes in the middles of `_PROBES` equal parts of every axis; fewer where thin."""
    tile = zyx(-(-n // _PROBES) for n in box.shape)
    return [_centred(part, _PROBE) for part in box.tiles(tile)]
