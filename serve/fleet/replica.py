"""What one process of a fleet does: it holds one slab and answers what it is asked."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from serve.fleet.open_slab import OpenSlab
from serve.fleet.slabs import Bits, Found, Slab


class Replica:
    """A slab that Ray Serve holds in a process of its own, as often as it is told to."""

    def __init__(self, slab: Slab, directory: str, removed: Int[np.ndarray, " n"]) -> None:
        """See `OpenSlab`."""
        self._slab = OpenSlab(slab, Path(directory), removed)

    def search(
        self, vectors: Float32[np.ndarray, "n dim"], k: int, nprobe: int, allowed: Bits | None
    ) -> Found:
        """See `OpenSlab.search`."""
        return self._slab.search(vectors, k, nprobe, allowed)
