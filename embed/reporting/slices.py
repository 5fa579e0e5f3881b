"""Three slices through a place, side by side as three sides of a box unfolded."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped, UInt8
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

    def grey(voxels: Shaped[np.ndarray, "z y x"]) -> Float[np.ndarray, "z y x"]:
        return normaliser(voxels) * (127.5 / _CONTRAST) + 127.5

    return _drawn(volume, centre, axes, window, grey)


def draw_segment(
    segmentation: Volume, centre: Float[np.ndarray, "3"], axes: tuple[int, int], window: Window
) -> Image.Image:
    """Draws where the segment of a place lies in the slice of `draw_slice`: white, else black.

    Raises:
        DataError: a chunk cannot be read.
    """
    z, y, x = np.floor(centre).astype(int).tolist()
    (mine,) = segmentation.read(Box.of_shape((1, 1, 1), (z, y, x))).ravel()
    outside = dataclasses.replace(window, empty=0)
    return _drawn(segmentation, centre, axes, outside, lambda ids: 255.0 * (ids == mine))


def _drawn(
    volume: Volume,
    centre: Float[np.ndarray, "3"],
    axes: tuple[int, int],
    window: Window,
    grey: Callable[[Shaped[np.ndarray, "z y x"]], Float[np.ndarray, "z y x"]],
) -> Image.Image:
    half = np.zeros(3)
    sizes = np.asarray(volume.frame.voxel_size_nm)
    half[list(axes)] = window.edge_nm / 2 / sizes[list(axes)]
    low, high = centre - half, centre + half
    start, stop = np.floor(low).astype(int), np.ceil(high).astype(int)
    stop = np.maximum(stop, start + 1)
    box = Box(zyx(start), zyx(stop))
    values = np.full(box.shape, window.empty, np.uint8)
    inside = box.intersection(volume.box)
    if inside is not None:
        values[inside.shifted([-n for n in box.start]).slices] = np.clip(
            grey(volume.read(inside)), 0, 255
        )
    rows, columns = axes
    crop = (
        low[columns] - start[columns],
        low[rows] - start[rows],
        high[columns] - start[columns],
        high[rows] - start[rows],
    )
    size = (window.pixels, window.pixels)
    picture = Image.fromarray(_plane(values, axes))
    return picture.resize(size, Image.Resampling.BILINEAR, box=crop)


def _plane(grey: UInt8[np.ndarray, "z y x"], axes: tuple[int, int]) -> UInt8[np.ndarray, "r c"]:
    (across,) = {0, 1, 2} - set(axes)
    flat = grey.take(0, axis=across)
    return flat if axes[0] < axes[1] else np.ascontiguousarray(flat.T)
