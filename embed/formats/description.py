"""What the metadata of a stored array or multiscale group say, in one shape for every format."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from embed.formats.arrays import Json
from embed.formats.source import Source
from embed.formats.units import unit_nm

SPATIAL = ("z", "y", "x")


@dataclasses.dataclass(frozen=True)
class Level:
    """One array of a multiscale group, or the only array there is.

    Every tuple has one entry per dimension, in the order of the store.

    Attributes:
        path: where the array lies inside the group; empty for the only array.
        spec: the TensorStore spec that opens it.
        shape: number of voxels.
        voxel_size_nm: edge lengths of a voxel; None where the store does not state a length.
        origin_nm: position of the lower corner of voxel 0; None likewise.
    """

    path: str
    spec: Json
    shape: tuple[int, ...]
    voxel_size_nm: tuple[float | None, ...]
    origin_nm: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Description:
    """What a source says about itself; nothing in it is guessed.

    Attributes:
        source: where it lies.
        format: `zarr2`, `zarr3`, `ome-zarr 0.5`, `n5`, `precomputed`, or a TensorStore driver.
        axes: names of the dimensions as the store writes them, in its order; None for an unnamed
            one.
        dtype: NumPy's name of the data type.
        levels: in the order of the store, which by custom is finest first.
        attributes: what its makers wrote beside the data, such as its licence.
        notes: why a voxel size is missing or was not believed.
    """

    source: Source
    format: str
    axes: tuple[str | None, ...]
    dtype: str
    levels: tuple[Level, ...]
    attributes: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first level, in the order of the store."""
        return self.levels[0].shape

    @property
    def voxel_size_nm(self) -> tuple[float | None, ...]:
        """Voxel size of the first level, in the order of the store."""
        return self.levels[0].voxel_size_nm


@dataclasses.dataclass(frozen=True)
class LevelMetadata:
    """What a format's reader finds out about one level before it is opened."""

    path: str
    spec: Json
    voxel_size_nm: tuple[float | None, ...] | None
    origin_nm: tuple[float | None, ...] | None


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a format's reader finds in the metadata files; the arrays then add shape and dtype.

    Axes, voxel sizes, origins and attributes are None where the arrays themselves are to be asked.
    """

    format: str
    axes: tuple[str | None, ...] | None
    levels: tuple[LevelMetadata, ...]
    attributes: dict[str, Any] | None
    notes: tuple[str, ...] = ()


def axis_name(name: object) -> str | None:
    """The name of an axis as we compare it, None where the store leaves it blank.

    >>> axis_name("Z"), axis_name("channel"), axis_name("c^"), axis_name(""), axis_name(None)
    ('z', 'c', 'c', None, None)
    """
    if not isinstance(name, str) or not name.strip():
        return None
    folded = name.strip().lower().rstrip("'^")  # Neuroglancer marks channels c' (outer) and c^
    return {"channel": "c", "time": "t"}.get(folded, folded)


def unmeasured(axes: Sequence[str | None], units: Sequence[object]) -> tuple[str, ...]:
    """A note on every axis that should have a length and is given a unit that is none."""
    return tuple(
        f"axis {i if axis is None else repr(axis)} is measured in {unit!r}, which is no length"
        for i, (axis, unit) in enumerate(zip(axes, units, strict=True))
        if axis_name(axis) in (*SPATIAL, None) and unit and unit_nm(str(unit)) is None
    )
