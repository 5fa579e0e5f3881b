"""The opened index of an atlas: never changed, replaced whole.

Ids are grid ids, so no table maps them to locations; locations without data are not in an index.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, UInt8

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError
from embed.geometry import Grid
from serve.fleet.open_slab import OpenSlab
from serve.fleet.slabs import InSlabs
from serve.indexing.build import build_index
from serve.indexing.faiss_files import read_index
from serve.indexing.faiss_search import FaissSearch
from serve.indexing.spacing import grown
from serve.locations import NONE
from serve.manifest import Manifest, current_manifest
from serve.removal import allowed_bits, load_removed
from serve.searching.turns import stand_aside

__all__ = ["Index", "Manifest", "build_index", "open_index"]

Search = Callable[
    [Float32[np.ndarray, "n dim"], int, int, UInt8[np.ndarray, " bytes"] | None],
    tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]],
]
"""Finds the k locations most like each vector, when nprobe lists are read, among those whose bits
are set: their similarities and ids."""

# Locations, or their codes, that a search looks at in a millisecond or two.
_MANY = 2**17


class Index:
    """An opened index. Safe to search from many threads; it never changes.

    Attributes:
        manifest: what it is.
        removed: ids of locations that are never found, ascending.
    """

    def __init__(
        self,
        search: Search,
        manifest: Manifest,
        grid: Grid | None = None,
        removed: Int[np.ndarray, " n"] = NONE,
    ):
        """Takes the search of an index, wherever that is.

        Args:
            search: of the index.
            manifest: its description.
            grid: of the ids; needed where some are removed, or not every location is in it.
            removed: ids of locations that are never found, ascending.
        """
        self._search = search
        self.manifest = manifest
        self.removed = removed
        self._grid = grid
        self._allowed = None
        # One that stands for its neighbours must be found for their sake.
        if grid is not None and manifest.every == 1:
            self._allowed = allowed_bits(grid.size, removed)

    @property
    def may_refine(self) -> bool:
        """Whether it holds codes of every location, in this process."""
        here = isinstance(self._search, FaissSearch)
        return here and not self.manifest.holds_vectors and self.manifest.every == 1

    def refining(self, vectors: Any) -> "Index":
        """The same index, which compares what it finds with vectors; where it may refine.

        Args:
            vectors: a FAISS index of whole vectors by Euclidean distance, in the order of ids.
        """
        assert isinstance(self._search, FaissSearch)
        search = self._search.refining(vectors)
        return Index(search, self.manifest, self._grid, self.removed)

    @property
    def tells_exactly(self) -> bool:
        """Whether its similarities are those of whole vectors rather than of codes."""
        refines = isinstance(self._search, FaissSearch) and self._search.refines
        return self.manifest.holds_vectors or refines

    @property
    def size(self) -> int:
        """Number of entries in it."""
        return self.manifest.count

    def search(
        self,
        vectors: Float32[np.ndarray, "n dim"],
        k: int,
        nprobe: int | None = None,
        allowed: UInt8[np.ndarray, " bytes"] | None = None,
        compared: int | None = None,
    ) -> tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
        """The locations most like each vector, best first.

        Args:
            vectors: unit length.
            k: how many; at least 1.
            nprobe: lists to read; the manifest's where it is not said.
            allowed: a bit for each id, as `serve.searching.selection.Selection` holds it: only
                locations whose bit is set are found, or which stand for one of those; all where it
                is None.
            compared: how many that its codes propose are compared for the best k, at least k,
                where `tells_exactly`; k where it is not said.

        Returns:
            Cosine similarities (estimates where the index holds codes) and int64 ids; -inf and -1
            where the lists that were read hold fewer than k locations.

        Raises:
            MismatchError: the vectors are not as long as those of the index.
        """
        if vectors.shape[1] != self.manifest.dim:
            raise MismatchError(
                f"the index holds {self.manifest.dim}-dimensional embeddings; the query has "
                f"{vectors.shape[1]} numbers"
            )
        if allowed is None:
            allowed = self._allowed
        elif self.manifest.every > 1 and self._grid is not None:
            allowed = grown(self._grid, allowed)
        elif self._allowed is not None:
            allowed = allowed & self._allowed
        nprobe = nprobe or self.manifest.nprobe
        if not isinstance(self._search, FaissSearch):
            stand_aside()
            return self._search(vectors, k, nprobe, allowed)
        each = self.manifest.count * nprobe // self.manifest.lists + (compared or k)
        if len(vectors) * each > _MANY:
            stand_aside()
        return self._search(vectors, k, nprobe, allowed, compared)


def open_index(atlas: Atlas) -> Index:
    """Opens the index of an atlas, after checking that it is whole.

    Raises:
        NotFoundError: there is none.
        MismatchError: it was built from other embeddings.
        DataError: it is damaged.
    """
    manifest, path = current_manifest(atlas)
    again = f"build it again with: voxkin index {atlas.path} --rebuild"
    try:
        search = _opened(manifest, path)
        removed = load_removed(path.parent, manifest)
    except DataError as error:
        raise DataError(f"{error}; {again}") from None
    return Index(search, manifest, atlas.grid, removed)


def _opened(manifest: Manifest, path: Path) -> Search:
    if manifest.slabs:
        opened = [OpenSlab(slab, path.parent, NONE) for slab in manifest.slabs]
        return InSlabs(
            manifest.slabs,
            lambda asked: [
                opened[q.number].search(q.vectors, q.k, q.nprobe, q.allowed) for q in asked
            ],
        )
    searched = read_index(path)
    if (searched.d, searched.ntotal) != (manifest.dim, manifest.count):
        raise DataError(
            f"{path} holds {searched.ntotal:,} vectors of {searched.d} numbers and its manifest "
            f"says {manifest.count:,} of {manifest.dim}"
        )
    return FaissSearch(searched)
