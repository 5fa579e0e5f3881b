"""The locations whose centres lie in boxes in nm."""

import numpy as np
from jaxtyping import Int

from embed.atlas import Atlas
from serve.locations import NONE, box_ids
from serve.queries import BoxNm
from serve.searching.selection import cell_boxes


def ids_in_boxes(atlas: Atlas, boxes_nm: tuple[BoxNm, ...]) -> Int[np.ndarray, " n"]:
    """Ids of the locations of an atlas in any of some boxes, ascending.

    Args:
        atlas: on a grid or of given places.
        boxes_nm: XYZ, stops excluded.
    """
    if atlas.info.points is None:
        found = [box_ids(atlas.grid, box) for box in cell_boxes(atlas, boxes_nm)]
        return np.unique(np.concatenate([NONE, *found]))
    places = atlas.positions_nm_xyz(np.arange(atlas.grid.size))
    inside = [((places >= low) & (places < high)).all(axis=1) for low, high in boxes_nm]
    return np.flatnonzero(np.logical_or.reduce([np.zeros(len(places), bool), *inside]))
