"""The formats that a map can be handed on in."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import tensorstore as ts
from jaxtyping import Int

from embed.formats.ome import centre
from embed.geometry import Box
from embed.storage import reports_storage, write_json
from serve.layers import shaders
from serve.layers.layer import Segment
from serve.layers.precomputed import PROPERTIES, Placement, Scale, segment_properties
from serve.mapping.grids import Levels, MapGrid

Format = Literal["precomputed", "ome-zarr"]

CHUNK = 64
"""Edge of a chunk in voxels: a quarter of a megabyte for each class."""

PROBABILITIES, LIKELIEST = "probabilities", "likeliest"
"""The two layers of a map."""


class Writer(Protocol):
    """A map that is being written."""

    def write(self, box: Box, levels: Levels, classes: Int[np.ndarray, "z y x"]) -> None:
        """Writes whole chunks.

        Args:
            box: voxels of the grid.
            levels: probabilities.
            classes: the likeliest, counted from 1.

        Raises:
            StorageError: the disk refuses.
        """
        ...


class PrecomputedWriter:
    """Two precomputed layers: probabilities, a channel for each class, and the likeliest class.

    The format knows whole voxels only: what is left, and how each layer is best drawn, is in
    `neuroglancer.json`, a state of Neuroglancer but for the address of the folder.
    """

    def __init__(self, folder: Path, grid: MapGrid, classes: Sequence[Segment]) -> None:
        scale = Scale("0", grid.shape, grid.frame, (CHUNK,) * 3)
        placed = Placement.of([scale])
        with reports_storage(f"write {folder}"):
            self._levels = _precomputed(
                folder / PROBABILITIES, scale, placed, "image", "uint8", len(classes)
            )
            self._classes = _precomputed(
                folder / LIKELIEST, scale, placed, "segmentation", "uint32", 1
            )
            info = folder / LIKELIEST / "info"
            write_json(info, {**json.loads(info.read_bytes()), PROPERTIES: PROPERTIES})
            names = {segment.id: segment.name for segment in classes}
            write_json(info.with_name(PROPERTIES) / "info", segment_properties(names))
            write_json(folder / "neuroglancer.json", _state(placed.transform(scale), classes))

    def write(self, box: Box, levels: Levels, classes: Int[np.ndarray, "z y x"]) -> None:
        """See `Writer`."""
        with reports_storage("write a map"):
            at = box.slices[::-1]
            self._levels[at].write(levels.transpose(2, 1, 0, 3)).result()
            self._classes[at].write(classes.T.astype(np.uint32)[..., None]).result()


class OmeWriter:
    """An OME-Zarr 0.5 image [c, z, y, x] of probabilities, with the likeliest class as labels."""

    def __init__(self, folder: Path, grid: MapGrid, classes: Sequence[Segment]) -> None:
        labels = folder / "labels"
        with reports_storage(f"write {folder}"):
            _group(folder, {"multiscales": [_image(grid, "c")], "omero": _channels(classes)})
            _group(labels, {"labels": [LIKELIEST]})
            _group(
                labels / LIKELIEST,
                {"multiscales": [_image(grid)], "image-label": _label(classes)},
            )
            self._levels = _zarr(folder / "0", (len(classes), *grid.shape), "uint8")
            self._classes = _zarr(labels / LIKELIEST / "0", grid.shape, "uint16")

    def write(self, box: Box, levels: Levels, classes: Int[np.ndarray, "z y x"]) -> None:
        """See `Writer`."""
        with reports_storage("write a map"):
            self._levels[(slice(None), *box.slices)].write(np.moveaxis(levels, -1, 0)).result()
            self._classes[box.slices].write(classes.astype(np.uint16)).result()


WRITERS: dict[Format, Callable[[Path, MapGrid, Sequence[Segment]], Writer]] = {
    "precomputed": PrecomputedWriter,
    "ome-zarr": OmeWriter,
}


def _precomputed(
    path: Path, scale: Scale, placed: Placement, kind: str, dtype: str, channels: int
) -> ts.TensorStore:
    encoding: dict[str, Any] = {"encoding": "raw"}
    if kind == "segmentation":
        block = {"compressed_segmentation_block_size": [8, 8, 8]}
        encoding = {"encoding": "compressed_segmentation", **block}
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "multiscale_metadata": {"type": kind, "data_type": dtype, "num_channels": channels},
        "scale_metadata": {
            "size": list(reversed(scale.shape)),
            "voxel_offset": list(reversed(placed.offsets[0])),
            "resolution": list(reversed(scale.frame.voxel_size_nm)),
            "chunk_size": list(scale.chunk),
            **encoding,
        },
    }
    store = ts.open(spec, open=True, create=True).result()
    return store[ts.d["x", "y", "z"].translate_to[0]]


def _state(transform: dict[str, Any] | None, classes: Sequence[Segment]) -> dict[str, Any]:
    def source(name: str) -> dict[str, Any]:
        url = {"url": f"precomputed://ADDRESS-OF-THIS-FOLDER/{name}"}
        return url | ({"transform": transform} if transform else {})

    images = [
        {
            "type": "image",
            "name": segment.name,
            "source": source(PROBABILITIES),
            "shader": shaders.probability(
                segment.colour, channel=segment.id - 1 if len(classes) > 1 else None
            ),
            "visible": False,
        }
        for segment in classes
    ]
    colours = {str(segment.id): segment.colour for segment in classes}
    segments = {
        "type": "segmentation",
        "name": LIKELIEST,
        "source": source(LIKELIEST),
        "segmentColors": colours,
        "segments": list(colours),
    }
    return {"layers": [segments, *images]}


def _group(path: Path, ome: dict[str, Any]) -> None:
    attributes = {"ome": {"version": "0.5", **ome}}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    write_json(path / "zarr.json", group)


def _image(grid: MapGrid, *others: str) -> dict[str, Any]:
    """The one level of an image, and where it lies: OME-Zarr tells the centre of a voxel."""
    size, corner = grid.frame.voxel_size_nm, grid.frame.origin_nm
    first = [centre(low, edge) for low, edge in zip(corner, size, strict=True)]
    axes = [{"name": name, "type": "channel"} for name in others]
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    steps = [
        {"type": "scale", "scale": [*(1.0 for _ in others), *size]},
        {"type": "translation", "translation": [*(0.0 for _ in others), *first]},
    ]
    return {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}


def _channels(classes: Sequence[Segment]) -> dict[str, Any]:
    window = {"min": 0, "max": 255, "start": 0, "end": 255}
    return {
        "channels": [
            {"label": c.name, "color": c.colour[1:].upper(), "window": window, "active": True}
            for c in classes
        ]
    }


def _label(classes: Sequence[Segment]) -> dict[str, Any]:
    colours = [{"label-value": c.id, "rgba": [*bytes.fromhex(c.colour[1:]), 255]} for c in classes]
    properties = [{"label-value": c.id, "class": c.name} for c in classes]
    return {"colors": colours, "properties": properties, "source": {"image": "../../"}}


def _zarr(path: Path, shape: tuple[int, ...], dtype: str) -> ts.TensorStore:
    codecs: list[dict[str, Any]] = [
        {"name": "bytes", **({"configuration": {"endian": "little"}} if dtype != "uint8" else {})},
        {"name": "zstd", "configuration": {"level": 3}},
    ]
    chunk = [1] * (len(shape) - 3) + [min(CHUNK, n) for n in shape[-3:]]
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": list(shape),
            "data_type": dtype,
            "fill_value": 0,
            "dimension_names": list("czyx"[-len(shape) :]),
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
            "codecs": codecs,
        },
    }
    return ts.open(spec, open=True, create=True).result()
