"""Maps of an atlas: class probabilities of every location.

On a grid they are an array that any zarr reader opens, of given places a table.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import tensorstore as ts
from jaxtyping import Bool, Float32

from embed.atlas import Atlas
from embed.geometry import Box, ZyxFloat, zyx_float
from embed.storage import reports_storage
from serve.probing.names import checked_name

FULL = 255
"""The number that stands for probability 1."""

COLUMNS = ("id", "source", "segment", "x_nm", "y_nm", "z_nm")
"""Of a table; a column per class follows, `probability_` and its name."""


class ClassMap:
    """A zarr v3 array [z, y, x, class] of uint8, one cell per location of an atlas.

    A cell is as large as the step between locations and centred on its location. Its numbers are
    probabilities from 0 to 255, all 0 where there are no data.
    """

    def __init__(self, store: ts.TensorStore):
        self._store = store

    @classmethod
    def create(cls, path: Path, atlas: Atlas, name: str, classes: Sequence[str]) -> "ClassMap":
        """Makes an empty map, every cell of which reads as 0, or opens one that was begun.

        Args:
            path: the directory of the array.
            atlas: whose locations it has.
            name: of the probe.
            classes: names, in the order of the probabilities.

        Raises:
            StorageError: the disk refuses.
        """
        step, corner = cell_frame(atlas)
        attributes = {
            "probe": name,
            "classes": list(classes),
            "probability_at_255": 1.0,
            "voxel_size_nm_xyz": list(step[::-1]),
            "origin_nm_xyz": list(corner[::-1]),  # the lower corner of cell (0, 0, 0)
            "dimension_units": [*(f"{size:g} nm" for size in step), None],
            "atlas": atlas.info.fingerprint,
            "volume_attribution": atlas.info.attribution,
        }
        with reports_storage(f"create the map at {path}"):
            spec = _spec(path, atlas, len(classes), attributes)
            return cls(ts.open(spec, open=True, create=True).result())

    def write(
        self,
        box: Box,
        probabilities: Float32[np.ndarray, "n classes"],
        has_data: Bool[np.ndarray, " n"],
    ) -> None:
        """Writes a shard.

        Args:
            box: cells of the shard.
            probabilities: of its locations in z, y, x order.
            has_data: which of them mean something.

        Raises:
            StorageError: the disk refuses.
        """
        with reports_storage("write a map"):
            levels = np.rint(FULL * probabilities * has_data[:, None]).astype(np.uint8)
            self._store[box.slices].write(levels.reshape(*box.shape, -1)).result()


class ClassTable:
    """A table in CSV, one row per given place in the order of their ids.

    Probabilities are left empty where there are no data, and segments where none is known.
    """

    def __init__(self, file: TextIO, atlas: Atlas, classes: Sequence[str]):
        self._rows = csv.writer(file, lineterminator="\n")
        self._atlas = atlas
        self._rows.writerow([*COLUMNS, *(f"probability_{name}" for name in classes)])

    def write(
        self,
        box: Box,
        probabilities: Float32[np.ndarray, "n classes"],
        has_data: Bool[np.ndarray, " n"],
    ) -> None:
        """Writes a shard; see `ClassMap.write`."""
        ids = np.arange(box.start[2], box.stop[2])
        places = np.round(self._atlas.positions_nm_xyz(ids), 3).tolist()
        columns = (ids.tolist(), self._atlas.known_of(ids), places, probabilities.tolist())
        for data, i, (segment, source), place, row in zip(has_data, *columns, strict=True):
            shares = (f"{share:.4f}" if data else "" for share in row)
            self._rows.writerow([i, source, segment, *place, *shares])


def map_path(atlas: Atlas, name: str) -> Path:
    """Where the map of a probe is.

    Raises:
        RequestError: the name is none of a probe.
    """
    kind = "zarr" if atlas.info.points is None else "csv"
    return atlas.path / "maps" / f"{checked_name(name)}.{kind}"


def cell_frame(atlas: Atlas) -> tuple[ZyxFloat, ZyxFloat]:
    """Edge lengths of the cell around a location and the lower corner of the first, in nm, ZYX."""
    step = np.multiply(atlas.grid.stride, atlas.frame.voxel_size_nm)
    first = np.asarray(atlas.extent_nm_xyz[0])[::-1]
    return zyx_float(step), zyx_float(first - step / 2)


def _spec(
    path: Path, atlas: Atlas, classes: int, attributes: dict[str, object]
) -> dict[str, object]:
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": [*atlas.grid.shape, classes],
            "data_type": "uint8",
            "fill_value": 0,
            "dimension_names": ["z", "y", "x", "class"],
            # A shard of locations is written at once, so that is what a chunk is.
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [*atlas.store.shard, classes]},
            },
            "codecs": [
                {"name": "bytes"},
                {"name": "zstd", "configuration": {"level": 3}},
            ],
            "attributes": attributes,
        },
    }
