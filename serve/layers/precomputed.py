"""Neuroglancer's precomputed format: the description of a layer, and where its voxels lie.

Format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Shaped

from embed.errors import NotFoundError
from embed.geometry import Box, Frame, Zyx, ZyxFloat, zyx, zyx_float

Kind = Literal["image", "segmentation"]

PROPERTIES = "segment_properties"
"""Folder of a segmentation in which the names of its segments are."""

# Of a voxel: what rounding of nanometres may make, and no eye sees.
_NEAR = 1e-3
_CHUNK = re.compile(
    r"(-?\d{1,15})-(-?\d{1,15})_(-?\d{1,15})-(-?\d{1,15})_(-?\d{1,15})-(-?\d{1,15})"
)


@dataclasses.dataclass(frozen=True)
class Scale:
    """One level of a layer.

    Attributes:
        key: its name in addresses.
        shape: voxels, ZYX.
        frame: the size of a voxel, and the lower corner of the first.
        chunk: voxels that are sent at once, ZYX.
    """

    key: str
    shape: Zyx
    frame: Frame
    chunk: Zyx


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where the format can say that a layer lies, which is on whole voxels only.

    Attributes:
        offsets: `voxel_offset` of each scale, ZYX.
        shift_nm: from where that puts the layer to where it is, ZYX.
    """

    offsets: tuple[Zyx, ...]
    shift_nm: ZyxFloat

    @classmethod
    def of(cls, scales: Sequence[Scale]) -> "Placement":
        """The placement of the scales of a layer, finest first.

        Where corners do not lie on whole voxels, all scales are put on the whole voxel of the
        coarsest that is nearest, so that one shift suits them all.
        """
        sizes = np.array([scale.frame.voxel_size_nm for scale in scales])
        corners = np.array([scale.frame.origin_nm for scale in scales])
        exact = corners / sizes
        if np.abs(exact - np.rint(exact)).max() < _NEAR:
            return cls(_whole(exact), (0.0, 0.0, 0.0))
        near = np.rint(corners[0] / sizes[-1]) * sizes[-1]
        offsets = near / sizes
        if np.abs(offsets - np.rint(offsets)).max() > _NEAR:
            near, offsets = 0 * near, 0 * offsets
        return cls(_whole(offsets), zyx_float(corners[0] - near))

    def transform(self, finest: Scale) -> dict[str, Any] | None:
        """What a source of Neuroglancer needs beside its address; None where it needs nothing.

        Args:
            finest: the first scale, whose voxels the client counts in.
        """
        if not any(self.shift_nm):
            return None
        shift = [
            nm / size for nm, size in zip(self.shift_nm, finest.frame.voxel_size_nm, strict=True)
        ]
        rows = [[float(row == column) for column in range(3)] for row in range(3)]
        matrix = [[*row, voxels] for row, voxels in zip(rows, reversed(shift), strict=True)]
        return {"outputDimensions": dimensions(finest.frame.voxel_size_nm), "matrix": matrix}


def dimensions(voxel_size_nm: ZyxFloat) -> dict[str, list[Any]]:
    """A coordinate space of Neuroglancer, in metres."""
    sizes = zip("xyz", reversed(voxel_size_nm), strict=True)
    return {axis: [size * 1e-9, "m"] for axis, size in sizes}


def info(
    kind: Kind, dtype: np.dtype, scales: Sequence[Scale], *, named: bool = False, channels: int = 1
) -> dict[str, Any]:
    """The description that a reader asks for first.

    Args:
        kind: of the layer.
        dtype: of its voxels.
        scales: finest first.
        named: whether segments have names.
        channels: numbers of a voxel.
    """
    levels = [
        {
            "key": scale.key,
            "size": list(reversed(scale.shape)),
            "voxel_offset": list(reversed(offset)),
            "resolution": list(reversed(scale.frame.voxel_size_nm)),
            "chunk_sizes": [list(reversed(scale.chunk))],
            "encoding": "raw",
        }
        for scale, offset in zip(scales, Placement.of(scales).offsets, strict=True)
    ]
    described = {
        "@type": "neuroglancer_multiscale_volume",
        "type": kind,
        "data_type": dtype.name,
        "num_channels": channels,
        "scales": levels,
    }
    return described | ({PROPERTIES: PROPERTIES} if named else {})


def segment_properties(names: Mapping[int, str]) -> dict[str, Any]:
    """The names of segments."""
    label = {"id": "label", "type": "label", "values": list(names.values())}
    inline = {"ids": [str(segment) for segment in names], "properties": [label]}
    return {"@type": "neuroglancer_segment_properties", "inline": inline}


def chunk_name(scale: Scale, offset: Zyx, box: Box) -> str:
    """What a chunk is called.

    Args:
        scale: of the chunk.
        offset: of the scale; see `Placement`.
        box: its voxels, counted from the first of the scale.
    """
    moved = box.shifted(offset)
    ends = reversed([*zip(moved.start, moved.stop, strict=True)])
    return "_".join(f"{low}-{high}" for low, high in ends)


def parse_chunk(scale: Scale, offset: Zyx, name: str) -> Box:
    """The voxels of a chunk, counted from the first of the scale; the inverse of `chunk_name`.

    Raises:
        NotFoundError: the scale has no such chunk.
    """
    match = _CHUNK.fullmatch(name)
    box = None
    if match:
        corner = reversed([int(number) for number in match.groups()[::2]])
        low = zyx(a - o for a, o in zip(corner, offset, strict=True))
        whole = zip(low, scale.chunk, scale.shape, strict=True)
        if all(0 <= a < n and a % c == 0 for a, c, n in whole):
            box = Box.of_shape(scale.chunk, low).intersection(Box((0, 0, 0), scale.shape))
    if box is None or chunk_name(scale, offset, box) != name:
        raise NotFoundError(
            f"no chunk {name[:100]!r} in scale {scale.key!r}: it has {_xyz(scale.shape)} voxels "
            f"from {_xyz(offset)} on, in chunks of {_xyz(scale.chunk)} (XYZ)"
        )
    return box


def encode(voxels: Shaped[np.ndarray, "*c z y x"]) -> bytes:
    """A chunk in the encoding `raw`: x changes fastest, and least significant bytes come first."""
    return voxels.astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes()


def _whole(values: Shaped[np.ndarray, "n 3"]) -> tuple[Zyx, ...]:
    return tuple(zyx(row) for row in np.rint(values).astype(np.int64).tolist())


def _xyz(sizes: Zyx) -> str:
    return " x ".join(map(str, reversed(sizes)))
