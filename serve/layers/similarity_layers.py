"""Layers of similarity to what somebody asked for, kept for as long as there is room."""

import threading
from collections import OrderedDict

import numpy as np
from jaxtyping import Float32, UInt8

from embed.atlas import Atlas
from embed.errors import NotFoundError
from embed.storage import digest
from serve.layers.map_layer import MapLayer
from serve.searching.aims import Aim
from serve.searching.similarity_map import coded

# Of a few vectors each.
_MOST = 256
# Locations that tell what is common, of which nothing is drawn.
_SAMPLE = 1000


class SimilarityLayers:
    """The aims that people look at, by their tokens. Safe to use from many threads."""

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._aims: OrderedDict[str, Aim] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, aim: Aim) -> str:
        """The token of an aim: the same for the same one."""
        token = digest(aim.towards.tobytes(), b"|", aim.against.tobytes())[:16]
        with self._lock:
            self._aims[token] = aim
            self._aims.move_to_end(token)
            if len(self._aims) > _MOST:
                self._aims.popitem(last=False)
        return token

    def adopt(self, others: "SimilarityLayers") -> None:
        """Takes over what was kept for an atlas of the same embeddings."""
        with others._lock:
            self._aims.update(others._aims)

    def layer(self, token: str) -> MapLayer:
        """How similar each location is: 1 to 255 for the least to the highest similarity.

        Raises:
            NotFoundError: there is no such token, or it was forgotten for others.
        """
        aim = self.aim(token)

        def compute(vectors: Float32[np.ndarray, "n dim"]) -> UInt8[np.ndarray, " n"]:
            return coded(aim.scores(vectors), aim.range)

        return MapLayer(self._atlas, compute, dtype=np.uint8, version=f"similarity {token}")

    def common(self, token: str) -> int:
        """The number that half of the locations stay below, by a sample."""
        size = self._atlas.grid.size
        drawn = np.random.default_rng(0).integers(size, size=min(size, _SAMPLE))
        vectors = self._atlas.embeddings(np.unique(drawn))
        aim = self.aim(token)
        return int(np.median(coded(aim.scores(vectors), aim.range)))

    def aim(self, token: str) -> Aim:
        """What a token stands for.

        Raises:
            NotFoundError: see `layer`.
        """
        with self._lock:
            found = self._aims.get(token)
        if found is None:
            raise NotFoundError(f"no similarity layer {token[:40]!r}; ask for it again")
        return found
