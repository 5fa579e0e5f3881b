"""Maps of an atlas: class probabilities of every location, as an array any zarr reader opens."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorstore as ts
from jaxtyping import Float32

from embed.atlas import Atlas
from embed.geometry import Box, ZyxFloat, zyx_float
from embed.storage import reports_storage

FULL = 255
"""The number that stands for probability 1."""


class ClassMap:
    """A zarr v3 array [z, y, x, class] of uint8, one cell per location of an atlas.

    A cell is as large as the step between locations and centred on its location. Its numbers are
    probabilities from 0 to 255, all 0 where there are no data.
    """

    def __init__(self, store: ts.TensorStore):
        self._store = store

    @classmethod
    def create(cls, path: Path, atlas: Atlas, name: str, classes: Sequence[str]) -> "ClassMap":
        """Makes an empty map; every cell reads as 0.

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
            return cls(ts.open(_spec(path, atlas, len(classes), attributes), create=True).result())

    def write(self, box: Box, probabilities: Float32[np.ndarray, "z y x classes"]) -> None:
        """Writes a shard of locations.

        Raises:
            StorageError: the disk refuses.
        """
        with reports_storage("write a map"):
            levels = np.rint(FULL * probabilities).astype(np.uint8)
            self._store[box.slices].write(levels).result()


def map_path(atlas: Atlas, name: str) -> Path:
    """Where the map of a probe is."""
    return atlas.path / "maps" / f"{name}.zarr"


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
