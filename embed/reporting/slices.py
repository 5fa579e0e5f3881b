"""Three slices through a place, side by side as three sides of a box unfolded."""

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from embed.geometry import Box, zyx
from embed.normaliser import Normaliser
from embed.volume import Volume

# Rows and columns as ZYX axes. xy and zy share their vertical axis, xy and xz their horizontal one.
XY, ZY, XZ = (1, 2), (1, 0), (0, 2)
# Deviations of the grey values from their median that become black and white.
_CONTRAST = 3.0


@dataclasses.dataclass(frozen=True)
class Window:
    """How much is drawn around a place.

    Attributes:
        edge_nm: of the square.
        pixels: of the square.
        empty: grey value of what lies outside the volume.
    """

    edge_nm: float
    pixels: int
    empty: int = 228


def draw_slice(
    volume: Volume,
    normaliser: Normaliser,
    centre: Float[np.ndarray, "3"],
    axes: tuple[int, int],
    window: Window,
) -> Image.Image:
    """Draws the slice through a place along two axes, the same scale on both.

    Args:
        volume: where to read.
        normaliser: gives the grey values that become black and white.
        centre: continuous voxels, ZYX.
        axes: `XY`, `ZY` or `XZ`.
        window: how much.

    Returns:
        A grey picture of `window.pixels` an edge.

    Raises:
        DataError: a chunk cannot be read, or holds NaN.
    """
    half = np.zeros(3)
    sizes = np.asarray(volume.frame.voxel_size_nm)
    half[list(axes)] = window.edge_nm / 2 / sizes[list(axes)]
    low, high = centre - half, centre + half
    start, stop = np.floor(low).astype(int), np.ceil(high).astype(int)
    stop = np.maximum(stop, start + 1)
    box = Box(zyx(start), zyx(stop))
    grey = np.full(box.shape, window.empty, np.uint8)
    inside = box.intersection(volume.box)
    if inside is not None:
        values = normaliser(volume.read(inside)) * (127.5 / _CONTRAST) + 127.5
        grey[inside.shifted([-n for n in box.start]).slices] = np.clip(values, 0, 255)
    rows, columns = axes
    crop = (
        low[columns] - start[columns],
        low[rows] - start[rows],
        high[columns] - start[columns],
        high[rows] - start[rows],
    )
    size = (window.pixels, window.pixels)
    picture = Image.fromarray(_plane(grey, axes))
    return picture.resize(size, Image.Resampling.BILINEAR, box=crop)


def _plane(grey: UInt8[np.ndarray, "z y x"], axes: tuple[int, int]) -> UInt8[np.ndarray, "r c"]:
    (across,) = {0, 1, 2} - set(axes)
    flat = grey.take(0, axis=across)
    return flat if axes[0] < axes[1] else np.ascontiguousarray(flat.T)
