"""A layer that is read from a volume: the tissue itself, or segments of it."""

import dataclasses
from typing import Literal

import numpy as np
import tensorstore as ts
from jaxtyping import Shaped

from embed.errors import DataError, VolumeError
from embed.formats.arrays import FAILURES, reason
from embed.geometry import Box, Frame, Zyx, zyx, zyx_float
from embed.volume import Volume, open_volume
from serve.layers.layer import Segment
from serve.layers.precomputed import Kind, Scale
from serve.layers.pyramid import coarser_levels
from serve.thumbnails import Greys

_CHUNK: Zyx = (64, 64, 64)
# Levels that a volume lacks are made of 8 voxels an edge at most, in chunks of half the edge: for
# one of them 256 voxels an edge are read, 17 million.
_MADE = 3
_MADE_CHUNK: Zyx = (32, 32, 32)


@dataclasses.dataclass(frozen=True)
class _Level:
    """A level as it is read: stored, or made of a stored one.

    Attributes:
        frame: of its voxels, the first of which is voxel 0.
        store: the voxels, from 0 on.
        chunk: that is sent at once, ZYX.
    """

    frame: Frame
    store: ts.TensorStore
    chunk: Zyx


class VolumeLayer:
    """A volume at the levels that it has, and at coarser ones where it has too few.

    Grey values of 8 bits stay as they are; others become 8 bits, black and white where pictures of
    the atlas have them. Safe to use from many threads.
    """

    segments: tuple[Segment, ...] = ()

    def __init__(self, volume: Volume, version: str, greys: Greys | None = None) -> None:
        """Opens the other levels of a volume.

        Args:
            volume: one of its levels.
            version: names the volume among all.
            greys: what becomes black and white; None for segments.

        Raises:
            VolumeError: a level cannot be opened.
        """
        self.version = version
        self.kind: Kind = "segmentation" if greys is None else "image"
        self._greys = None if volume.dtype == np.uint8 else greys
        self._name = volume.name
        self._levels = _levels(volume, self.kind)
        self.dtype = np.dtype(np.uint8) if greys else _of_segments(volume.dtype)
        self.scales = tuple(
            Scale(str(number), zyx(level.store.shape), level.frame, level.chunk)
            for number, level in enumerate(self._levels)
        )

    def read(self, level: int, box: Box) -> Shaped[np.ndarray, "z y x"]:
        """See `Layer`."""
        try:
            voxels = np.asarray(self._levels[level].store[box.slices].read().result())
        except FAILURES as error:
            raise DataError(
                f"cannot read {box} (voxels of level {level}, ZYX) of {self._name!r}: "
                f"{reason(error)}"
            ) from error
        return voxels.astype(self.dtype) if self._greys is None else self._greys(voxels)


def _of_segments(dtype: np.dtype) -> np.dtype:
    """The type that the ids of segments are shown in: Neuroglancer's have no sign.

    Raises:
        VolumeError: they are no whole numbers.
    """
    if dtype.kind not in "iu":
        raise VolumeError(f"a segmentation holds whole numbers, the ids of segments; got {dtype}")
    return np.dtype(f"uint{8 * dtype.itemsize}")


def _levels(volume: Volume, kind: Kind) -> list[_Level]:
    opened = sorted(_stored(volume), key=lambda level: np.prod(level.frame.voxel_size_nm))
    found = []
    for level in opened:
        size = level.frame.voxel_size_nm
        corner = np.multiply(level.box.start, size) + level.frame.origin_nm
        store = level.store[ts.d[:].translate_to[0, 0, 0]]
        found.append(_Level(Frame(size, zyx_float(corner)), store, _CHUNK))
    return [*found, *_made(found[-1], kind)]


def _stored(volume: Volume) -> list[Volume]:
    source = volume.source
    # What a caller said of the voxel size of one level says nothing of the others.
    if source.voxel_size_nm is not None:
        return [volume]
    numbers = range(len(volume.description.levels))
    others = (n for n in numbers if n != source.level)
    return [
        volume,
        *(
            open_volume(source.spec, axes=source.axes, level=n, channel=source.channel)
            for n in others
        ),
    ]


def _made(coarsest: _Level, kind: Kind) -> list[_Level]:
    """Means of grey values; of segments the one in the corner, as a mean of ids is none."""
    method: Literal["stride", "mean"] = "stride" if kind == "segmentation" else "mean"
    made = coarser_levels(zyx(coarsest.store.shape), coarsest.frame.voxel_size_nm, _MADE)
    origin = coarsest.frame.origin_nm
    return [
        _Level(
            Frame(level.voxel_size_nm, origin),
            ts.downsample(coarsest.store, level.factor, method=method),
            _MADE_CHUNK,
        )
        for level in made
    ]
