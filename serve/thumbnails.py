"""Pictures of slices through a volume, centred on a place, as PNG."""

import dataclasses
import io
import math
from typing import Literal

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image, ImageFilter

from embed.errors import RequestError
from embed.geometry import Box, Frame, XyzFloat, Zyx, zyx
from embed.volume import Volume

Plane = Literal["xy", "xz", "yz"]

# Rows and columns of the picture as ZYX axes. Turned as Neuroglancer does: xy and yz share their
# vertical axis, xy and xz their horizontal one.
_AXES: dict[Plane, tuple[int, int]] = {"xy": (1, 2), "xz": (0, 2), "yz": (1, 0)}
_SIZES = (16, 1024)
# Without a pyramid every voxel of the window is read: 4096 x 4096 is half a second.
_MAX_VOXELS = 4096
# Deviations of the grey values from their median that become black and white.
_CONTRAST = 3.0
# Single voxels of 0 are dark; only patches of at least this edge are places without data.
_VOID_EDGE = 5
# Farther out than any volume reaches, and still a whole number of voxels.
_FAR = 2.0**40


@dataclasses.dataclass(frozen=True)
class Greys:
    """Which grey values become black and white.

    Attributes:
        black: value drawn as 0.
        white: value drawn as 255; greater than `black`.
    """

    black: float
    white: float

    @classmethod
    def around(cls, centre: float, scale: float) -> "Greys":
        """The window around a median, wide enough for all but dust and charging.

        Args:
            centre: median grey value.
            scale: robust standard deviation.
        """
        return cls(centre - _CONTRAST * scale, centre + _CONTRAST * scale)

    def __call__(self, voxels: Shaped[np.ndarray, "row column"]) -> UInt8[np.ndarray, "row column"]:
        """Grey values as 0 to 255; NaN becomes black."""
        scaled = (voxels.astype(np.float32) - self.black) * (255 / (self.white - self.black))
        return np.clip(np.nan_to_num(scaled), 0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Slice:
    """What to draw.

    Attributes:
        centre_nm_xyz: place in the middle of the picture, in nm, XYZ; may lie outside.
        plane: `xy` (x to the right, y down), `xz` (x right, z down) or `yz` (z right, y down).
        size: edge of the square picture in pixels, 16 to 1024.
        nm_per_pixel: edge of a pixel in nm.
    """

    centre_nm_xyz: XyzFloat
    plane: Plane
    size: int
    nm_per_pixel: float

    def __post_init__(self) -> None:
        if self.plane not in _AXES:
            raise RequestError(f"no plane {self.plane!r}; there are {', '.join(_AXES)}")
        if not _SIZES[0] <= self.size <= _SIZES[1]:
            raise RequestError(
                f"a picture of {self.size} pixels: the edge is {_SIZES[0]} to {_SIZES[1]} pixels"
            )
        if not all(math.isfinite(v) for v in self.centre_nm_xyz):
            raise RequestError(
                f"the centre is three finite numbers in nm (XYZ); got {self.centre_nm_xyz}"
            )
        if not (math.isfinite(self.nm_per_pixel) and self.nm_per_pixel > 0):
            raise RequestError(f"nm_per_pixel is a length above 0 nm; got {self.nm_per_pixel}")


def draw_slice(volume: Volume, greys: Greys, what: Slice) -> bytes:
    """Draws one slice; what is outside the volume or has no data is transparent.

    Returns:
        A PNG of `what.size` pixels an edge, grey and alpha.

    Raises:
        RequestError: the picture would cover too many voxels.
        DataError: a chunk cannot be read.
    """
    rows, columns = _AXES[what.plane]
    low, high = _window(volume.frame, what)
    start, stop = np.floor(low).astype(np.int64), np.ceil(high).astype(np.int64)
    stop = np.maximum(stop, start + 1)
    _require_few(stop - start, volume.frame, what)
    box = Box(zyx(start.tolist()), zyx(stop.tolist()))
    crop = (
        low[columns] - start[columns],
        low[rows] - start[rows],
        high[columns] - start[columns],
        high[rows] - start[rows],
    )
    picture = Image.fromarray(_read(volume, greys, box, (rows, columns)), "LA")
    picture = picture.resize((what.size, what.size), Image.Resampling.BILINEAR, box=crop)
    with io.BytesIO() as png:
        picture.save(png, "PNG", compress_level=1)
        return png.getvalue()


def field_of_view_nm(frame: Frame, fov: Zyx) -> float:
    """The longest edge of a field of view, in nm."""
    return max(n * size for n, size in zip(fov, frame.voxel_size_nm, strict=True))


def _window(frame: Frame, what: Slice) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of the picture in continuous voxels, ZYX; flat across the plane."""
    centre = np.clip(frame.to_voxel(np.asarray(what.centre_nm_xyz)), -_FAR, _FAR)
    half = np.zeros(3)
    for axis in _AXES[what.plane]:
        half[axis] = what.size * what.nm_per_pixel / 2 / frame.voxel_size_nm[axis]
    return centre - half, centre + half


def _require_few(shape: np.ndarray, frame: Frame, what: Slice) -> None:
    if shape.max() > _MAX_VOXELS:
        most = _MAX_VOXELS * min(frame.voxel_size_nm) / what.size
        raise RequestError(
            f"a picture of {what.size} pixels of {what.nm_per_pixel:g} nm covers "
            f"{int(shape.max())} voxels; at most {_MAX_VOXELS}: take {most:g} nm_per_pixel or less"
        )


def _read(
    volume: Volume, greys: Greys, box: Box, axes: tuple[int, int]
) -> UInt8[np.ndarray, "row column 2"]:
    picture = np.zeros((box.shape[axes[0]], box.shape[axes[1]], 2), np.uint8)
    inside = box.intersection(volume.box)
    if inside is None:
        return picture
    voxels = _turned(volume.read(inside), axes)
    rows, columns = (inside.shifted([-n for n in box.start]).slices[axis] for axis in axes)
    picture[rows, columns, 0] = greys(voxels)
    picture[rows, columns, 1] = np.where(_void(voxels), 0, 255)
    return picture


def _turned(
    voxels: Shaped[np.ndarray, "z y x"], axes: tuple[int, int]
) -> Shaped[np.ndarray, "row column"]:
    (across,) = {0, 1, 2} - set(axes)
    flat = voxels.take(0, axis=across)
    return flat if axes[0] < axes[1] else flat.T


def _void(voxels: Shaped[np.ndarray, "row column"]) -> Bool[np.ndarray, "row column"]:
    """Where patches of voxels are exactly 0, as chunks never written read."""
    zero = Image.fromarray(((voxels == 0) * 255).astype(np.uint8))
    patches = zero.filter(ImageFilter.MinFilter(_VOID_EDGE))
    return np.asarray(patches.filter(ImageFilter.MaxFilter(_VOID_EDGE))) > 0
