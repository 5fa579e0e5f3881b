"""Coarser levels of a layer, for what is too large to be shown as it is."""

import dataclasses

import numpy as np

from embed.geometry import Zyx, ZyxFloat, zyx
from embed.ingestion.pyramid import plan

ENOUGH = 64
"""Voxels along the longest axis from which on nothing coarser is made."""


@dataclasses.dataclass(frozen=True)
class Coarser:
    """A level that is made from the finest.

    Attributes:
        factor: voxels of the finest that become one, ZYX.
        shape: voxels, ZYX.
        voxel_size_nm: ZYX.
    """

    factor: Zyx
    shape: Zyx
    voxel_size_nm: ZyxFloat


def coarser_levels(shape: Zyx, voxel_size_nm: ZyxFloat, most: int) -> list[Coarser]:
    """The levels below one, each of which halves the axes that are not too coarse already.

    Args:
        shape: of the finest, ZYX.
        voxel_size_nm: of the finest, ZYX.
        most: levels that may be made.

    >>> [level.factor for level in coarser_levels((64, 512, 512), (40.0, 10.0, 10.0), 8)]
    [(1, 2, 2), (1, 4, 4), (2, 8, 8)]
    """
    planned = plan(shape, voxel_size_nm, most + 1)
    steps = np.cumprod([level.factor for level in planned], axis=0)
    return [
        Coarser(zyx(step), level.shape, level.voxel_size_nm)
        for before, level, step in zip(planned, planned[1:], steps[1:], strict=False)
        if max(before.shape) > ENOUGH
    ]
