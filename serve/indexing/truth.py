"""The true nearest neighbours of some locations, found while all the others stream by.

A location's own surroundings do not count: they are the easiest to find, and no search wants them.
So queries are as hard as vectors from elsewhere.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int

from embed.atlas import Atlas
from embed.errors import DataError
from serve.locations import Locations

NEAREST = 10

# Similarities that are held at once: of more, memory; of fewer, time.
_AT_ONCE = 2**21


class ExactNeighbours:
    """The similarities of the nearest locations of some queries, kept up to date."""

    def __init__(
        self, atlas: Atlas, queries: Locations, best: Float32[np.ndarray, "q k"] | None = None
    ):
        """Begins.

        Args:
            atlas: that all locations are of.
            queries: some of them.
            best: what is known already of each, in any order; -inf for what is not.
        """
        self.queries = queries
        empty = np.full((len(queries.ids), NEAREST), -np.inf, np.float32)
        self.best = empty if best is None else best
        self._atlas = atlas
        self._places = atlas.offsets_nm(queries.ids)
        self._apart_nm = field_of_view_nm(atlas)

    def update(self, places: Locations) -> None:
        """Takes note of some more locations."""
        most, begin = max(1, _AT_ONCE // max(len(self.queries.ids), 1)), 0
        # As long as nothing is known of a query, every location is better.
        step = most if np.isfinite(self.best).all() else 10 * NEAREST
        while begin < len(places.ids):
            some = slice(begin, begin + step)
            begin, step = begin + step, min(2 * step, most)
            found = self.queries.vectors @ places.vectors[some].T
            # Few are among the nearest so far, and looking at those is all that is dear.
            rows, columns = np.nonzero(found > self.best.min(axis=1, keepdims=True))
            far = ~self.surrounds(rows, places.ids[some][columns])
            rows, better = rows[far], found[rows, columns][far]
            for row in np.unique(rows):
                known = np.concatenate([self.best[row], better[rows == row]])
                self.best[row] = np.partition(known, -NEAREST)[-NEAREST:]

    def surrounds(
        self, rows: Int[np.ndarray, " n"], ids: Int[np.ndarray, " n"]
    ) -> Bool[np.ndarray, " n"]:
        """Which locations are nearer than a field of view to the queries in some rows."""
        steps = self._atlas.offsets_nm(ids) - self._places[rows]
        return np.einsum("nd,nd->n", steps, steps) < self._apart_nm**2

    @property
    def thresholds(self) -> Float32[np.ndarray, "q 1"]:
        """Similarity of the last of each query's nearest; -inf where there are too few."""
        return self.best.min(axis=1, keepdims=True)

    @property
    def counts(self) -> Int[np.ndarray, " q"]:
        """How many neighbours each query has at most: fewer than asked for in a tiny atlas."""
        return np.isfinite(self.best).sum(axis=1)

    def save(self, path: Path) -> None:
        """Writes the queries and what is known of them."""
        np.savez(path, ids=self.queries.ids, vectors=self.queries.vectors, best=self.best)

    @classmethod
    def load(cls, atlas: Atlas, path: Path) -> "ExactNeighbours":
        """Reads what was written.

        Raises:
            DataError: it is damaged or missing.
        """
        try:
            with np.load(path) as found:
                return cls(atlas, Locations(found["ids"], found["vectors"]), found["best"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise DataError(f"{path} is damaged or missing ({error})") from None


def field_of_view_nm(atlas: Atlas) -> float:
    """The longest edge of a field of view."""
    edges = zip(atlas.grid.fov, atlas.frame.voxel_size_nm, strict=True)
    return max(voxels * size for voxels, size in edges)
