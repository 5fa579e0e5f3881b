"""Opens any stored volume as a lazy `[z, y, x]` view with a place in nanometres."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from jaxtyping import Int, Shaped

from embed.errors import DataError, OutOfBoundsError, VolumeError
from embed.formats.arrays import CACHE_BYTES, FAILURES, Json, open_arrays, reason
from embed.formats.description import SPATIAL, Description, axis_name
from embed.formats.levels import choose, stated_zyx
from embed.formats.metadata import describe
from embed.formats.source import Source, parse
from embed.geometry import Box, Frame, XyzFloat, Zyx, ZyxFloat, zyx

_DTYPES = frozenset(
    "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64".split()
)


@dataclasses.dataclass(frozen=True)
class VolumeSource:
    """Everything that is needed to open the same voxels again, from any folder.

    Attributes:
        spec: TensorStore spec of the array or multiscale group.
        level: index of the level.
        channel: index along the one axis that is not z, y or x, where it has several entries.
        axes: what the caller said of unnamed axes, one letter per dimension of the store.
        voxel_size_nm: what the caller said of the voxel size of this level, XYZ; None where the
            store's is used.
    """

    spec: Json
    level: int
    channel: int | None = None
    axes: str | None = None
    voxel_size_nm: XyzFloat | None = None

    def to_json(self) -> Json:
        """A JSON object; lengths are named x, y and z."""
        size = self.voxel_size_nm
        named = None if size is None else dict(zip("xyz", size, strict=True))
        return {**dataclasses.asdict(self), "voxel_size_nm": named}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "VolumeSource":
        """The inverse of `to_json`."""
        named = value["voxel_size_nm"]
        size = named and (float(named["x"]), float(named["y"]), float(named["z"]))
        return cls(**{**value, "voxel_size_nm": size})


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """A volume of voxels `[z, y, x]`. Safe to read from many threads at once.

    Attributes:
        name: the last part of its path.
        source: how to open it again.
        description: what the store says of itself.
        box: its voxels; the start is precomputed's `voxel_offset` and may be negative.
        frame: where the voxels lie in nanometres.
        dtype: of what `read` returns; bool is read as uint8.
        chunk: the smallest unit that is fetched and decoded at once, ZYX.
        store: the TensorStore view, labelled z, y, x.
    """

    name: str
    source: VolumeSource
    description: Description
    box: Box
    frame: Frame
    dtype: np.dtype
    chunk: Zyx
    store: ts.TensorStore = dataclasses.field(repr=False)

    @property
    def attributes(self) -> dict[str, Any]:
        """What its makers wrote beside the data, such as `license` and `source`."""
        return self.description.attributes

    def read(self, box: Box) -> Shaped[np.ndarray, "z y x"]:
        """The voxels of a box, in the data type of the store.

        Chunks that are not stored have the store's fill value, as sparse stores mean it.

        Raises:
            OutOfBoundsError: `box` leaves the volume.
            DataError: a chunk is corrupt, truncated or cannot be fetched.
        """
        return self._loaded(self.store[self._within(box).slices], box)

    def read_crossings(
        self, z: Int[np.ndarray, " z"], y: Int[np.ndarray, " y"], x: Int[np.ndarray, " x"]
    ) -> Shaped[np.ndarray, "z y x"]:
        """The voxels at some z, y and x, all combined, in the data type of the store.

        Memory is taken by what is returned, not by the box around it.

        Args:
            z: indices in rising order.
            y: likewise.
            x: likewise.

        Raises:
            OutOfBoundsError: one leaves the volume.
            DataError: a chunk is corrupt, truncated or cannot be fetched.
        """
        box = Box(zyx((z[0], y[0], x[0])), zyx((z[-1] + 1, y[-1] + 1, x[-1] + 1)))
        return self._loaded(self.store[self._within(box).slices].oindex[z, y, x], box)

    def read_at(self, voxels: Int[np.ndarray, "n 3"]) -> Shaped[np.ndarray, " n"]:
        """Single voxels, ZYX, in the data type of the store.

        Raises:
            OutOfBoundsError: one leaves the volume.
            DataError: a chunk is corrupt, truncated or cannot be fetched.
        """
        if not len(voxels):
            return np.empty(0, self.dtype)
        box = Box(zyx(voxels.min(axis=0)), zyx(voxels.max(axis=0) + 1))
        z, y, x = voxels.T
        return self._loaded(self.store[self._within(box).slices].vindex[z, y, x], box)

    def _within(self, box: Box) -> Box:
        if not self.box.contains(box):
            raise OutOfBoundsError(f"{box} leaves {self.name!r}, whose voxels (ZYX) are {self.box}")
        return box

    def _loaded(self, view: ts.TensorStore, box: Box) -> np.ndarray:
        try:
            return np.asarray(view.read().result())
        except FAILURES as error:
            raise DataError(
                f"cannot read {box} (voxels, ZYX) of {self.name!r}: {reason(error)}"
            ) from error


def open_volume(
    source: str | Path | Mapping[str, Any] | Source,
    *,
    voxel_size_nm: XyzFloat | None = None,
    axes: str | None = None,
    at_voxel_size_nm: ZyxFloat | None = None,
    level: int | None = None,
    channel: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Volume:
    """Opens an array, or one level of a multiscale group; nothing is read but metadata.

    Args:
        source: a path, URL or spec; see `embed.formats.source.parse`.
        voxel_size_nm: XYZ; overrides what the store says of the level that is opened by index, or
            of the finest; the other levels, and the origin, follow in proportion.
        axes: one letter per dimension in the order of the store, such as `zyx` or `xyzc`, for a
            store that does not name them.
        at_voxel_size_nm: ZYX; opens the level nearest to it, which must be within a factor of
            `embed.formats.levels.TOLERANCE` on every axis.
        level: opens the level of this index, in the order of the store; default the finest.
        channel: index along a channel or time axis that has several entries.
        cache_bytes: decoded chunks to keep; volumes with the same number share them.

    Raises:
        VolumeError: there is no such array or level, it cannot be decoded, or its axes or voxel
            size are not stated; the message says what to pass.
    """
    place = parse(source)
    stated = stated_zyx(voxel_size_nm or place.voxel_size_nm)
    description = describe(place, cache_bytes)
    names = _axes(description, axes)
    choice = choose(
        description,
        names,
        level=level,
        at_voxel_size_nm=at_voxel_size_nm,
        stated_nm=stated,
    )
    spec = description.levels[choice.index].spec
    store = _turned(open_arrays([spec], place.url, cache_bytes)[0], names, channel, place.name)
    z, y, x = choice.frame.voxel_size_nm
    kept = VolumeSource(place.spec, choice.index, channel, axes, (x, y, z) if stated else None)
    return Volume(
        name=place.name,
        source=kept,
        description=description,
        box=Box(zyx(store.domain.inclusive_min), zyx(store.domain.exclusive_max)),
        frame=choice.frame,
        dtype=np.dtype(store.dtype.numpy_dtype),
        chunk=_chunk(store),
        store=store,
    )


def open_volume_source(source: VolumeSource, cache_bytes: int = CACHE_BYTES) -> Volume:
    """Opens the same level of the same volume again; errors as of `open_volume`."""
    return open_volume(
        source.spec,
        voxel_size_nm=source.voxel_size_nm,
        axes=source.axes,
        level=source.level,
        channel=source.channel,
        cache_bytes=cache_bytes,
    )


def _axes(description: Description, stated: str | None) -> tuple[str, ...]:
    """The name of every dimension, as the store or else the caller has it.

    Raises:
        VolumeError: neither names them, or the two contradict each other.
    """
    stored = tuple(axis_name(axis) for axis in description.axes)
    what = f"{description.source.name!r} of shape {description.shape}"
    if len(stored) < 2:
        raise VolumeError(f"{what} has one dimension; a volume has z, y and x")
    names = tuple(axis for axis in stored if axis is not None)
    named = len(set(names)) == len(stored) and {"y", "x"} <= set(names)
    if stated is None and not named:
        seen = ", ".join(str(axis or "?") for axis in description.axes)
        raise VolumeError(
            f"{what} does not name its axes z, y, x ({seen}); state them with --axes, one letter "
            "per dimension in the order of the store, such as zyx (usual in zarr) or xyz (in N5)"
        )
    letters = names if stated is None else tuple(stated.lower())
    if named and letters != names:
        raise VolumeError(f"{what} names its axes {', '.join(names)}; leave out --axes {stated}")
    if len(letters) != len(stored) or len(set(letters)) != len(letters):
        raise VolumeError(f"{what} needs one letter per dimension, all different; got {stated!r}")
    if stated is not None and not {"y", "x"} <= set(letters) <= set("zyxct"):
        raise VolumeError(f"{what} needs axes out of z, y, x, c, t with y and x; got {stated!r}")
    return letters


def _turned(
    store: ts.TensorStore, names: Sequence[str], channel: int | None, what: str
) -> ts.TensorStore:
    """The store as `[z, y, x]`, lazily: other axes dropped, a single section given a z axis."""
    if store.dtype.name != "bool" and store.dtype.name not in _DTYPES:
        raise VolumeError(
            f"{what!r} holds {store.dtype.name}; a volume holds integers of 8 to 64 bits or floats "
            "of 16 to 64"
        )
    if 0 in store.shape:
        raise VolumeError(f"{what!r} is empty: its shape is {store.shape}")
    for dim, index in sorted(_dropped(store, names, channel, what).items(), reverse=True):
        store = store[ts.d[dim][index]]
    left = [axis for axis in names if axis in SPATIAL]
    store = store[ts.d[[left.index(axis) for axis in SPATIAL if axis in left]].transpose[:]]
    if "z" not in left:
        store = store[ts.newaxis]
    store = store[ts.d[:].label["z", "y", "x"]]
    return ts.cast(store, ts.uint8) if store.dtype.name == "bool" else store


def _dropped(
    store: ts.TensorStore, names: Sequence[str], channel: int | None, what: str
) -> dict[int, int]:
    """Which index to take along every dimension that is not z, y or x."""
    starts, sizes = store.domain.inclusive_min, store.shape
    others = [dim for dim, axis in enumerate(names) if axis not in SPATIAL]
    long = [dim for dim in others if sizes[dim] > 1]
    if len(long) > 1:
        several = ", ".join(f"{sizes[dim]} along {names[dim]}" for dim in long)
        raise VolumeError(f"{what!r} has {several}: more than one axis besides z, y, x is too many")
    count = sizes[long[0]] if long else 1
    if channel is None and long:
        raise VolumeError(
            f"{what!r} has {count} entries along {names[long[0]]!r}; choose one with --channel 0 "
            f"to {count - 1}"
        )
    if channel is not None and not 0 <= channel < count:
        raise VolumeError(f"{what!r} has no channel {channel}; it has 0 to {count - 1}")
    return {dim: starts[dim] + ((channel or 0) if dim in long else 0) for dim in others}


def _chunk(store: ts.TensorStore) -> Zyx:
    """Read chunk; all of an axis that is not chunked."""
    chunk = store.chunk_layout.read_chunk.shape or store.shape
    return zyx(size or whole for size, whole in zip(chunk, store.shape, strict=True))
