"""How similar every location in a box is: a volume to look at beside the tissue."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped, UInt8

from embed.atlas import Atlas
from embed.errors import OutOfBoundsError, RequestError
from embed.geometry import Box, XyzFloat, zyx
from serve.gate.caller import require_caller
from serve.locations import NONE, absent, box_ids, unit
from serve.queries import BoxNm, Filters
from serve.searching.aims import Aim
from serve.searching.selection import cell_boxes

MOST = 2**24
"""Locations of one map: what fits in a message in 2 bytes each, twice over."""

DTYPES = ("uint8", "float16")
# Locations that are read at once: 64 MB of 64 numbers each.
_AT_ONCE = 2**18


@dataclasses.dataclass(frozen=True, eq=False)
class SimilarityMap:
    """How similar the locations in a box are.

    Attributes:
        values: uint8, 0 for no data and 1 to 255 for `lowest` to `highest`, or float16, the
            similarities themselves and NaN for no data.
        first_nm_xyz: centre of the first location.
        step_nm_xyz: from one centre to the next, along each axis.
        lowest: the least similarity there can be.
        highest: the most.
    """

    values: Shaped[np.ndarray, "z y x"]
    first_nm_xyz: XyzFloat
    step_nm_xyz: XyzFloat
    lowest: float
    highest: float

    @property
    def similarities(self) -> Float32[np.ndarray, "z y x"]:
        """As numbers, NaN where there is no data."""
        if self.values.dtype != np.uint8:
            return self.values.astype(np.float32)
        share = (self.values.astype(np.float32) - 1) / 254
        found = self.lowest + share * (self.highest - self.lowest)
        return np.where(self.values == 0, np.float32(np.nan), found)


def map_similarity(
    atlas: Atlas,
    aim: Aim,
    box_nm: BoxNm,
    dtype: str = "uint8",
    removed: Int[np.ndarray, " n"] = NONE,
) -> SimilarityMap:
    """Compares every location whose centre lies in a box.

    Args:
        atlas: on a grid.
        aim: what locations are compared with.
        box_nm: the box, XYZ.
        dtype: uint8 or float16.
        removed: ids of locations that are never found, ascending: as if there were no data.

    Raises:
        RequestError: the atlas is of given places, or the box holds too many locations.
        OutOfBoundsError: it holds none.
        DataError: a shard is corrupt.
    """
    if dtype not in DTYPES:
        raise RequestError(f"a map is of {' or '.join(DTYPES)}; got {dtype}")
    if atlas.info.points is not None:
        raise RequestError(
            f"atlas {atlas.name!r} is of given places, which make no volume; ask for all places "
            "above a similarity instead"
        )
    cells = _cells(atlas, box_nm)
    low, high = aim.range
    values = np.empty(cells.shape, dtype)
    for part in cells.tiles(_part(cells)):
        require_caller()
        vectors, has_data = unit(atlas.store.read(part).reshape(part.size, -1))
        scores = aim.scores(vectors)
        if len(removed):
            has_data &= absent(box_ids(atlas.grid, part), removed)
        here = Box(
            zyx(a - b for a, b in zip(part.start, cells.start, strict=True)),
            zyx(a - b for a, b in zip(part.stop, cells.start, strict=True)),
        )
        values[here.slices] = _values(scores, has_data, aim.range, dtype).reshape(part.shape)
    (x, y, z), _ = atlas.positions_nm_xyz(atlas.grid.ids(np.array([cells.start] * 2))).tolist()
    steps = np.multiply(atlas.grid.stride, atlas.frame.voxel_size_nm).tolist()
    return SimilarityMap(values, (x, y, z), (steps[2], steps[1], steps[0]), low, high)


def _cells(atlas: Atlas, box_nm: BoxNm) -> Box:
    filters = Filters(boxes_nm=(box_nm,))  # which checks the box
    cells = next(iter(cell_boxes(atlas, filters.boxes_nm)), None)
    if cells is None:
        low, high = atlas.extent_nm_xyz
        raise OutOfBoundsError(
            f"no location lies in the box from {box_nm[0]} to {box_nm[1]} nm (XYZ): those of atlas "
            f"{atlas.name!r} run from {low} to {high}"
        )
    if cells.size > MOST:
        raise RequestError(
            f"the box holds {cells.size:,} locations; a map holds at most {MOST:,}: ask for parts"
        )
    return cells


def _part(cells: Box) -> tuple[int, int, int]:
    _, y, x = cells.shape
    return max(1, _AT_ONCE // (y * x)), max(1, min(y, _AT_ONCE // x)), min(x, _AT_ONCE)


def _values(
    scores: Float32[np.ndarray, " n"],
    has_data: Bool[np.ndarray, " n"],
    limits: tuple[float, float],
    dtype: str,
) -> Shaped[np.ndarray, " n"]:
    if dtype == "float16":
        return np.where(has_data, np.clip(scores, *limits), np.nan).astype(np.float16)
    return np.where(has_data, coded(scores, limits), 0).astype(np.uint8)


def coded(
    scores: Float32[np.ndarray, " n"], limits: tuple[float, float]
) -> UInt8[np.ndarray, " n"]:
    """Similarities as 1 to 255, for the lowest to the highest there can be."""
    low, high = limits
    return (1 + np.rint((np.clip(scores, low, high) - low) / (high - low) * 254)).astype(np.uint8)
