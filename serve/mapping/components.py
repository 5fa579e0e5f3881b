"""Connected components of a mask that is larger than memory, given slab by slab."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float64, Int


@dataclasses.dataclass(frozen=True, eq=False)
class Objects:
    """The components of a mask.

    Attributes:
        sizes: cells of each.
        centres: the mean of its cells, ZYX, counted from the first cell of the first slab.
    """

    sizes: Int[np.ndarray, " n"]
    centres: Float64[np.ndarray, "n 3"]


class Components:
    """Counts components of cells that share a face, one slab of sections after another.

    Besides a slab only its last section and a few numbers of each component are held.
    """

    def __init__(self) -> None:
        self._labels = 0
        self._sections = 0
        self._last: Int[np.ndarray, "y x"] | None = None
        self._joined: list[Int[np.ndarray, "n 2"]] = [np.empty((0, 2), np.int64)]
        # Of each label its cells, and the sums of their z, y and x.
        self._sums: list[Float64[np.ndarray, "n 4"]] = [np.empty((0, 4))]

    def add(self, mask: Bool[np.ndarray, "z y x"]) -> None:
        """Adds the sections that follow those added before."""
        from scipy import ndimage

        labels, count = ndimage.label(mask)
        cells = np.argwhere(mask)
        owner = labels[mask] - 1
        self._sums.append(
            np.stack(
                [
                    np.bincount(owner, weights=values, minlength=count)
                    for values in (np.ones(len(cells)), cells[:, 0] + self._sections, *cells.T[1:])
                ],
                axis=1,
            )
        )
        labels = np.where(mask, labels.astype(np.int64) + self._labels, 0)
        if self._last is not None:
            touching = (self._last > 0) & (labels[0] > 0)
            pairs = np.stack([self._last[touching], labels[0][touching]], axis=1)
            self._joined.append(np.unique(pairs, axis=0) - 1)
        self._last = labels[-1]
        self._labels += count
        self._sections += len(mask)

    def objects(self) -> Objects:
        """The components of all slabs together."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self._labels:
            return Objects(np.empty(0, np.int64), np.empty((0, 3)))
        sums, pairs = np.concatenate(self._sums), np.concatenate(self._joined)
        graph = coo_array((np.ones(len(pairs)), pairs.T), (len(sums), len(sums)))
        count, owner = connected_components(graph, directed=False)
        whole = np.zeros((count, 4))
        np.add.at(whole, owner, sums)
        return Objects(whole[:, 0].astype(np.int64), whole[:, 1:] / whole[:, :1])
