"""Axes and voxel sizes of N5 arrays and groups, as Neuroglancer and n5-viewer write them.

Formats: https://github.com/saalfeldlab/n5-viewer (`pixelResolution`, `scales`,
`downsamplingFactors`) and Neuroglancer's `axes`, `units`, `resolution`. Of a level, the voxel size
is that of the base times the level's downsampling factors; lower corners coincide.
"""

from typing import Any

from embed.formats.arrays import Json, folder, read_json
from embed.formats.description import SPATIAL, LevelMetadata, Metadata, axis_name, unmeasured
from embed.formats.units import unit_nm

_FILE = "attributes.json"
_MOST_LEVELS = 16  # a factor of 32768; levels without a list are looked for by name
_FORMAT_KEYS = frozenset(
    "n5 dimensions blockSize dataType compression compressionType axes units resolution scales "
    "downsamplingFactors pixelResolution".split()
)


def read(kvstore: Json, attributes: Json) -> Metadata | None:
    """Reads an array or a multiscale group; None where the folder is neither."""
    if "dimensions" in attributes:
        attributes = {**_inherited(kvstore, attributes), **attributes}
        factors = attributes.get("downsamplingFactors")
        return _metadata(kvstore, attributes, {"": factors or [1] * len(attributes["dimensions"])})
    factors = attributes.get("scales") or attributes.get("downsamplingFactors")
    if factors:
        return _metadata(kvstore, attributes, {f"s{i}": f for i, f in enumerate(factors)})
    found = _levels_by_name(kvstore)
    return _metadata(kvstore, attributes, found) if found else None


def _inherited(kvstore: Json, attributes: Json) -> Json:
    """Attributes of the group around a level: a level opened alone says only its factors."""
    parts = kvstore.get("path", "").rstrip("/").split("/")
    if "axes" in attributes or "downsamplingFactors" not in attributes or len(parts) < 2:
        return {}
    parent = {**kvstore, "path": "/".join(parts[:-1]) + "/"}
    return read_json(parent, [_FILE]).get(_FILE, {})


def _levels_by_name(kvstore: Json) -> dict[str, Any]:
    """Downsampling factors of s0, s1, … up to the first that is missing."""
    names = [f"s{i}" for i in range(_MOST_LEVELS)]
    files = read_json(kvstore, [f"{name}/{_FILE}" for name in names])
    levels: dict[str, Any] = {}
    for name in names:
        child = files.get(f"{name}/{_FILE}")
        if child is None or "dimensions" not in child:
            break
        levels[name] = child.get("downsamplingFactors") or (
            [1] * len(child["dimensions"]) if name == "s0" else None
        )
    return levels


def _metadata(kvstore: Json, attributes: Json, factors: dict[str, Any]) -> Metadata:
    axes = attributes.get("axes")
    base, notes = _base_size_nm(attributes, axes)
    levels = []
    for path, factor in factors.items():
        size = None
        if base is not None and factor is not None:
            size = tuple(
                None if b is None else b * float(f) for b, f in zip(base, factor, strict=True)
            )
        spec = {"driver": "n5", "kvstore": folder(kvstore, path)}
        origin = None if size is None else tuple(None if s is None else 0.0 for s in size)
        levels.append(LevelMetadata(path, spec, size, origin))
    return Metadata(
        format="n5",
        axes=tuple(axes) if axes else None,
        levels=tuple(levels),
        attributes={k: v for k, v in attributes.items() if k not in _FORMAT_KEYS},
        notes=notes,
    )


def _base_size_nm(
    attributes: Json, axes: list[str] | None
) -> tuple[tuple[float | None, ...] | None, tuple[str, ...]]:
    """Voxel size of the full-size level, and why parts of it are missing."""
    pixel = attributes.get("pixelResolution")
    if isinstance(pixel, dict):
        sizes = pixel["dimensions"]
        units = [pixel.get("unit")] * len(sizes)
    else:
        sizes = pixel or attributes.get("resolution")
        units = attributes.get("units") or [None] * len(sizes or [])
    if not sizes:
        return None, ()
    if not any(units):
        return None, (f"it gives a voxel size of {sizes} without a unit",)
    names: list[str | None] = [*axes] if axes else [None] * len(sizes)
    nm = [
        unit_nm(str(unit or "")) if axis_name(name) in (*SPATIAL, None) else None
        for name, unit in zip(names, units, strict=True)
    ]
    size = tuple(None if u is None else float(s) * u for s, u in zip(sizes, nm, strict=True))
    return size, unmeasured(names, units)
