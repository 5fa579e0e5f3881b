"""Where places that were not laid out lie on the map: among the points that are most like them."""

import numpy as np
from jaxtyping import Float32, Int

from embed.atlas import Atlas
from serve.clusters.projection import load_projection
from serve.clusters.table import Points
from serve.locations import unit

NEIGHBOURS = 8
"""Points of the map that say where a place lies."""

# Lists of points, and how many of them are read for a vector. Comparing with all of 20,000 points
# takes ten times longer, and gives one place in a hundred another cluster (bench_placing).
_LISTS_PER_ROOT = 4
_READ = 16
# FAISS wants 39 points for each list that it learns.
_FEWEST_PER_LIST = 39
# Added to 1 - similarity, so that a point of the map has nearly all the weight at its own place.
_AT = 1e-5
# Vectors that are placed at once: some tens of megabytes of intermediate numbers.
_AT_ONCE = 2**16


class Placer:
    """Places vectors on a map. Safe to use from many threads."""

    def __init__(self, vectors: Float32[np.ndarray, "n dim"], points: Points) -> None:
        """Makes ready to find the points that are most like a vector.

        Args:
            vectors: of the points, unit length.
            points: of the map, at least one.
        """
        import faiss

        count, dim = vectors.shape
        root = round(_LISTS_PER_ROOT * count**0.5)
        lists = max(1, min(root, count // _FEWEST_PER_LIST))
        self._quantiser = faiss.IndexFlatIP(dim)
        self._index = faiss.IndexIVFFlat(self._quantiser, dim, lists, faiss.METRIC_INNER_PRODUCT)
        self._index.train(vectors)
        self._index.add(vectors)
        self._index.nprobe = min(_READ, lists)
        self._vectors, self._points = vectors, points

    @classmethod
    def open(cls, atlas: Atlas) -> "Placer":
        """Makes ready to place on the map of an atlas.

        Raises:
            NotFoundError: it has none.
            MismatchError: that was made from other embeddings.
            DataError: that, or an embedding, is damaged.
        """
        points = load_projection(atlas).points
        return cls(unit(atlas.embeddings(points.ids))[0], points)

    def place(
        self, vectors: Float32[np.ndarray, "n dim"]
    ) -> tuple[Float32[np.ndarray, "n 2"], Int[np.ndarray, " n"]]:
        """Where vectors lie on the map.

        The points most like a vector choose its cluster by vote, and it lies at the mean of those
        that are of this cluster, so that it never lies in the empty space between two. Both are
        weighted by the inverse of 1 - similarity.

        Args:
            vectors: of any length.

        Returns:
            Coordinates, and clusters (int64, -1 for none); NaN and -1 for vectors of zeros.

        Raises:
            DataError: a vector is not finite.
        """
        xy = np.full((len(vectors), 2), np.nan, np.float32)
        clusters = np.full(len(vectors), -1, np.int64)
        near = min(NEIGHBOURS, len(self._points.ids))
        for start in range(0, len(vectors), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            queries, has_data = unit(np.asarray(vectors[part], np.float32))
            if has_data.any():
                found = self._index.search(np.ascontiguousarray(queries[has_data]), near)
                xy[part][has_data], clusters[part][has_data] = self._mean(*found)
        return xy, clusters

    def neighbours(self, count: int) -> tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
        """The points most like each point of the map, the likest first.

        Args:
            count: of each, without itself; fewer where there are no more points.

        Returns:
            Similarities and rows among the points.
        """
        import faiss

        # All are compared, unlike where places are placed: each is asked for once.
        exact = faiss.IndexFlatIP(self._vectors.shape[1])
        exact.add(self._vectors)
        similarities, rows = exact.search(self._vectors, min(count + 1, len(self._vectors)))
        # Itself is among them, but for where many points are the same.
        itself = rows == np.arange(len(rows))[:, None]
        itself[~itself.any(axis=1), -1] = True
        shape = len(rows), rows.shape[1] - 1
        return similarities[~itself].reshape(shape), rows[~itself].reshape(shape)

    def _mean(
        self, similarities: Float32[np.ndarray, "n k"], rows: Int[np.ndarray, "n k"]
    ) -> tuple[Float32[np.ndarray, "n 2"], Int[np.ndarray, " n"]]:
        # A row of -1 stands for no point: the lists that were read hold fewer.
        weights = np.where(rows >= 0, 1 / (np.maximum(1 - similarities, 0) + _AT), 0)
        found = self._points.clusters[rows]
        votes = np.einsum("nk,njk->nj", weights, found[:, None] == found[:, :, None])
        chosen = np.take_along_axis(found, votes.argmax(axis=1)[:, None], axis=1)
        weights = np.where(found == chosen, weights, 0)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("nk,nkd->nd", weights, self._points.xy[rows]), chosen[:, 0]
