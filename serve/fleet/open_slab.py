"""One slab of an index in memory."""

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from embed.errors import DataError
from serve.fleet.slabs import Bits, Found, Slab
from serve.indexing.faiss_files import check_bytes, read_index
from serve.indexing.faiss_search import FaissSearch
from serve.removal import allowed_bits


class OpenSlab:
    """A slab that can be searched. Safe to search from many threads; it never changes."""

    def __init__(self, slab: Slab, directory: Path, removed: Int[np.ndarray, " n"]) -> None:
        """Reads it, after a check of its bytes.

        Args:
            slab: which.
            directory: of the version that it is part of.
            removed: ids of locations that are never found, of any slab, ascending.

        Raises:
            DataError: it is damaged or missing.
        """
        path = directory / slab.file
        check_bytes(path, slab.bytes, slab.sha256)
        index = read_index(path)
        if index.ntotal != slab.count:
            raise DataError(f"{path} holds {index.ntotal:,} locations, not {slab.count:,}")
        self._search = FaissSearch(index)
        self._bits = slab.of_bits
        first, last = np.searchsorted(removed, [slab.start, slab.stop])
        size = 8 * (self._bits.stop - self._bits.start)
        self._kept = allowed_bits(size, removed[first:last] - 8 * self._bits.start)

    def search(
        self, vectors: Float32[np.ndarray, "n dim"], k: int, nprobe: int, allowed: Bits | None
    ) -> Found:
        """The locations in it that are most like each vector; see `slabs.Question`."""
        if allowed is None:
            allowed = self._kept
        elif self._kept is not None:
            allowed = allowed & self._kept
        return self._search(vectors, k, nprobe, self._placed(allowed))

    def _placed(self, allowed: Bits | None) -> Bits | None:
        """The bits where FAISS looks for them; those before are never looked at."""
        if allowed is None:
            return None
        bits = np.zeros(self._bits.stop, np.uint8)
        bits[self._bits] = allowed
        return bits
