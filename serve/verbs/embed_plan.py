"""`voxkin embed --dry-run`: what a job would be, in numbers."""

import shutil
from pathlib import Path
from typing import Any

from embed.atlas import Atlas
from embed.estimate import Estimate, estimate
from embed.geometry import Grid, Zyx
from serve.verbs.console import print_json, say


def tell_plan(atlas: Atlas, out: Path, price: float | None, json: bool) -> None:
    """Prints what remains to be done of an atlas that is laid out.

    Args:
        atlas: where it would be, or laid out elsewhere for this.
        out: where it is to be, for the space that is free there.
        price: of an hour of this machine; None where it is not said.
        json: as JSON.
    """
    found = estimate(atlas)
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if json:
        print_json(_report(atlas, found, free, price))
    else:
        rows = _rows(atlas, found, free, price)
        say("\n".join(f"{name:13}  {value}" for name, value in rows.items()))


def _rows(atlas: Atlas, found: Estimate, free: int, price: float | None) -> dict[str, str]:
    volume, grid, dim = atlas.volume, atlas.grid, atlas.info.embedding_dim
    voxels = volume.box.size * volume.dtype.itemsize
    each = f"{found.operations / 1e6:,.2f} MFLOP and {1e6 * found.location_s:,.1f} µs"
    rows = {
        "volume": f"{volume.name}, {_by(volume.box.shape)} voxels (XYZ), {_bytes(voxels)}",
        "field of view": f"{_by(grid.fov)} voxels" + _step(atlas),
        "locations": f"{_count(atlas, found)}, in {shards_text(found.shards)}",
        "embeddings": f"{dim} numbers each in {atlas.store.dtype}, {_bytes(found.written_bytes)}; "
        f"{_bytes(free)} are free",
        "reading": f"{_bytes(found.read_bytes)} of voxels, halo included",
        "computing": f"{atlas.info.backend}: {each} each here ({found.peak_share:.0%} of peak), "
        f"{found.operations * found.locations / 1e12:,.3g} TFLOP",
        "time": f"{duration(found.seconds)} on this machine as busy as it is now",
    }
    if price is not None:
        rows["cost"] = f"{price * found.seconds / 3600:,.2f} at {price:g} an hour"
    return rows


def _report(atlas: Atlas, found: Estimate, free: int, price: float | None) -> dict[str, Any]:
    grid, volume = atlas.grid, atlas.volume
    report = {
        "volume": volume.name,
        "volume_bytes": volume.box.size * volume.dtype.itemsize,
        "fov_voxels": _named(grid.fov),
        "stride_voxels": _named(grid.stride) if atlas.info.points is None else None,
        "grid": _named(grid.shape) if atlas.info.points is None else None,
        "locations": found.locations,
        "shards": found.shards,
        "read_bytes": found.read_bytes,
        "embedding_bytes": found.written_bytes,
        "free_bytes": free,
        "backend": atlas.info.backend,
        "flop_per_location": found.operations,
        "flop": found.operations * found.locations,
        "seconds_per_location": found.location_s,
        "peak_share": found.peak_share,
        "seconds": found.seconds,
    }
    return report if price is None else {**report, "cost": price * found.seconds / 3600}


def _step(atlas: Atlas) -> str:
    return f", every {_by(atlas.grid.stride)}" if isinstance(atlas.places, Grid) else ""


def _count(atlas: Atlas, found: Estimate) -> str:
    whole = isinstance(atlas.places, Grid) and found.locations == atlas.grid.size
    about = "about " if any(region.mask for region in atlas.regions) else ""
    return (f"{_by(atlas.grid.shape)} = " if whole else about) + f"{found.locations:,}"


def shards_text(count: int) -> str:
    """As in "1 shard", "1,200 shards"."""
    return f"{count:,} shard" + "s" * (count != 1)


def duration(seconds: float) -> str:
    """As in "3 s", "12 min", "5 h 10 min", "41 days"."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else "less than a second"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes / 1440:,.0f} days"


def _named(values: Zyx) -> dict[str, int]:
    return dict(zip("xyz", reversed(values), strict=True))


def _by(values: Zyx) -> str:
    return " x ".join(f"{n:,}" for n in reversed(values))


def _bytes(size: float) -> str:
    for unit in ("MB", "GB", "TB"):
        size /= 1e6 if unit == "MB" else 1e3
        if size < 1000 or unit == "TB":
            break
    return f"{size:,.1f} {unit}"
