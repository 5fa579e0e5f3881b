"""Reads what any array or multiscale group says about itself: axes, shape, voxel sizes, levels."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorstore as ts

from embed.errors import VolumeError, VoxkinError
from embed.formats import n5, ome
from embed.formats.arrays import CACHE_BYTES, Json, local_path, open_arrays, read_json, url
from embed.formats.description import Description, Level, LevelMetadata, Metadata, unmeasured
from embed.formats.missing import missing_array, require_store
from embed.formats.source import Source, parse
from embed.formats.units import length_nm, unit_nm

_FILES = {
    "zarr3": ("zarr.json",),
    "zarr": (".zarray", ".zattrs", ".zgroup"),
    "neuroglancer_precomputed": ("info",),
    "n5": ("attributes.json",),
}


def describe(
    source: str | Path | Mapping[str, Any] | Source, cache_bytes: int = CACHE_BYTES
) -> Description:
    """What an array or multiscale group states about itself; see `Description`.

    Args:
        source: whatever `embed.formats.source.parse` understands.
        cache_bytes: which of the shared caches opens the arrays.

    Raises:
        VolumeError: there is no array, or one that cannot be read; the message says why.
    """
    source = parse(source)
    metadata = _metadata(source)
    specs = [level.spec for level in metadata.levels]
    if source.is_plain:  # voxels do not change under us, so a read need not ask the disk again
        specs = [{**spec, "recheck_cached_data": "open"} for spec in specs]
    stores = open_arrays(specs, source.url, cache_bytes)
    axes = metadata.axes or tuple(label or None for label in stores[0].domain.labels)
    levels = [
        _level(dataclasses.replace(level, spec=spec), store)
        for level, spec, store in zip(metadata.levels, specs, stores, strict=True)
    ]
    if any(len(level.shape) != len(axes) for level in levels):
        raise VolumeError(
            f"{source.url} names {len(axes)} axes ({axes}), but its arrays have the shapes "
            f"{[level.shape for level in levels]}"
        )
    return Description(
        source=source,
        format=metadata.format,
        axes=axes,
        dtype=stores[0].dtype.name,
        levels=tuple(levels),
        attributes=_attributes(stores[0]) if metadata.attributes is None else metadata.attributes,
        notes=metadata.notes,
    )


def _level(level: LevelMetadata, store: ts.TensorStore) -> Level:
    size, origin = level.voxel_size_nm, level.origin_nm
    if size is None:
        size = tuple(_unit_nm(unit) for unit in store.dimension_units)
    if origin is None:
        origin = tuple(None if length is None else 0.0 for length in size)
    return Level(level.path, level.spec, tuple(store.shape), size, origin)


def _unit_nm(unit: ts.Unit | None) -> float | None:
    length = None if unit is None else unit_nm(unit.base_unit)
    return None if unit is None or length is None else unit.multiplier * length


def _attributes(store: ts.TensorStore) -> dict[str, Any]:
    """User attributes of an array that only TensorStore has seen: those of zarr v3."""
    metadata = store.spec().to_json().get("metadata", {})
    return dict(metadata.get("attributes", {})) if isinstance(metadata, dict) else {}


def _metadata(source: Source) -> Metadata:
    if not source.is_plain:
        alone = LevelMetadata("", source.spec, None, None)
        return Metadata(source.driver, None, (alone,), None)
    kvstore = source.spec["kvstore"]
    require_store(kvstore)
    path = local_path(kvstore)
    if source.driver == "auto" and path is not None and (path / "manifest.ocdbt").is_file():
        kvstore = {"driver": "ocdbt", "base": kvstore}
    wanted = [names for driver, names in _FILES.items() if source.driver in ("auto", driver)]
    files = read_json(kvstore, [name for names in wanted for name in names])
    try:
        found = _read(kvstore, files)
    except VoxkinError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        # Other people's files: whatever they leave out or misspell ends here, with its name.
        raise VolumeError(f"the metadata of {source.url} are malformed: {error!r}") from error
    if found is None:
        raise missing_array(source, kvstore, sorted(files))
    return found


def _read(kvstore: Json, files: dict[str, Json]) -> Metadata | None:
    """Asks the reader of each format whose files are there; None where no array is."""
    if "zarr.json" in files:
        node = files["zarr.json"]
        return _zarr(kvstore, "zarr3", node, node.get("attributes") or {})
    if ".zarray" in files or ".zattrs" in files:
        return _zarr(kvstore, "zarr", files.get(".zarray", {}), files.get(".zattrs", {}))
    if "info" in files:
        return _precomputed(kvstore, files["info"])
    if "attributes.json" in files:
        return n5.read(kvstore, files["attributes.json"])
    return None


def _zarr(kvstore: Json, driver: str, node: Json, attributes: Json) -> Metadata | None:
    """An array with names and units in xarray's and Neuroglancer's attributes, or an OME group."""
    if "shape" not in node:
        return ome.read(kvstore, driver, attributes) if ome.is_multiscale(attributes) else None
    names = node.get("dimension_names") or attributes.get("_ARRAY_DIMENSIONS")
    axes = tuple(name or None for name in names) if names else (None,) * len(node["shape"])
    units = attributes.get("dimension_units") or [None] * len(axes)
    size = tuple(length_nm(str(unit or "")) for unit in units)
    origin = tuple(None if length is None else 0.0 for length in size)
    level = LevelMetadata("", {"driver": driver, "kvstore": kvstore}, size, origin)
    hidden = ("_ARRAY_DIMENSIONS", "dimension_units")
    return Metadata(
        format="zarr2" if driver == "zarr" else driver,
        axes=axes,
        levels=(level,),
        attributes={k: v for k, v in attributes.items() if k not in hidden},
        notes=unmeasured(axes, [u if length_nm(str(u or "")) is None else "" for u in units]),
    )


def _precomputed(kvstore: Json, info: Json) -> Metadata:
    """Neuroglancer's format, whose axes are x, y, z, channel and whose unit is nm by definition."""
    kind = info.get("@type", "neuroglancer_multiscale_volume")
    if kind != "neuroglancer_multiscale_volume" or "scales" not in info:
        raise VolumeError(f"{url(kvstore)} holds {kind}, which is no volume of voxels")
    levels = []
    for index, scale in enumerate(info["scales"]):
        x, y, z = map(float, scale["resolution"])
        spec = {"driver": "neuroglancer_precomputed", "kvstore": kvstore, "scale_index": index}
        # voxel_offset is part of TensorStore's domain, so voxel 0 lies at 0 nm.
        levels.append(LevelMetadata(scale["key"], spec, (x, y, z, None), (0.0, 0.0, 0.0, None)))
    known = ("@type", "scales", "data_type", "num_channels")
    return Metadata(
        format="precomputed",
        axes=("x", "y", "z", "channel"),
        levels=tuple(levels),
        attributes={k: v for k, v in info.items() if k not in known},
    )
