"""`voxkin info`: what a volume is."""

import math
from typing import Annotated, Any

import tyro

from embed.errors import DataError, VolumeError
from embed.info import info_json
from embed.samples import locate
from serve.verbs.arguments import Axes, Flag, Size, Whole, call, parse_voxel_size
from serve.verbs.console import print_json, say


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(info, "info", words)


def info(
    volume: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VOLUME")],
    /,
    voxel_size: Size = None,
    axes: Axes = None,
    level: Whole = None,
    channel: Whole = None,
    json: Flag = False,
) -> None:
    """Says what a volume is: format, axes, voxel size, levels, extent, grey values.

    Nothing is written, and only a small sample of voxels is read. The exit code is 2 where voxkin
    could not work on it as it is.

    Examples:
      voxkin info em.ome.zarr
      voxkin info 'precomputed://gs://bucket/em'
      voxkin info stack.n5 --axes zyx --voxel-size 4,4,40

    Args:
        volume: path, URL or TensorStore spec of a zarr, OME-Zarr, N5 or precomputed volume; or
            `sample`, the one that comes with voxkin.
        voxel_size: X,Y,Z in nm, where the volume does not state it.
        axes: one letter per dimension in the order of the store, where it does not name them.
        level: of a multiscale volume, 0 for the first.
        channel: of a volume with several.
        json: print one JSON object instead.
    """
    found = info_json(
        locate(volume),
        voxel_size_nm=parse_voxel_size(voxel_size),
        axes=axes,
        level=level,
        channel=channel,
    )
    if json:
        print_json(found)
    else:
        say("\n".join(f"{name:11}  {value}" for name, value in _rows(found)))
    _require_usable(found)


def _require_usable(found: dict[str, Any]) -> None:
    if not found["opens_as_volume"]:
        raise VolumeError(found["reason"])
    if found["sample_error"]:
        raise DataError(found["sample_error"])
    if not math.isfinite(found["sample"]["mean"]):
        raise DataError(
            f"{found['name']} holds NaN or infinite values; replace them with 0, which counts as "
            "missing"
        )


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("volume", str(found["name"])),
        ("source", str(found["source"])),
        ("format", str(found["format"])),
        ("stored as", _stored(found)),
        ("voxel size", _sizes(found["voxel_size_nm"], "nm")),
    ]
    if len(found["levels"]) > 1:
        rows += [
            (f"level {i}", f"{_shape(level['shape'])}, {_sizes(level['voxel_size_nm'], 'nm')}")
            for i, level in enumerate(found["levels"])
        ]
    rows += [("licence", str(found["licence"]))] if found["licence"] else []
    rows += [("note", str(text)) for text in found["notes"]]
    if not found["opens_as_volume"]:
        return [*rows, ("as a volume", "no")]  # the reason is told as an error is
    low, high = found["box"]["start"], found["box"]["stop"]
    rows += [
        ("as a volume", f"yes, level {found['level']}"),
        ("voxels", "  ".join(f"{axis} {low[axis]}:{high[axis]}" for axis in "xyz")),
        ("extent", _sizes(found["extent_um"], "µm")),
        ("size", f"{found['bytes'] / 1e6:,.1f} MB"),
    ]
    sample = found["sample"]
    if sample is None:
        return [*rows, ("grey values", "cannot be read")]
    grey = f"{sample['minimum']:g} to {sample['maximum']:g}, mean {sample['mean']:.1f}"
    if not math.isfinite(sample["mean"]):
        grey = "not all are finite numbers"
    return [*rows, ("grey values", grey), ("void", f"about {sample['void_fraction']:.0%}")]


def _stored(found: dict[str, Any]) -> str:
    axes = ", ".join(str(axis or "?") for axis in found["axes"])
    return f"{found['dtype']}, {_shape(found['shape'])}, axes {axes}"


def _shape(shape: list[int]) -> str:
    return " x ".join(map(str, shape))


def _sizes(sizes: dict[str, float] | None, unit: str) -> str:
    if not sizes:
        return "not stated; pass --voxel-size X,Y,Z in nm"
    order = [axis for axis in "xyz" if axis in sizes] or list(sizes)
    return "  ".join(f"{axis} {sizes[axis]:g}" for axis in order) + f" {unit}"
