"""An index that compares what it finds with the stored vectors, which are held in memory."""

import contextlib
from typing import Any

import numpy as np

from embed.atlas import Atlas
from embed.errors import DataError
from serve.index import Index
from serve.locations import unit


def refined(index: Index, atlas: Atlas, most_bytes: int) -> Index:
    """The same index with the vectors in memory, where they take at most so many bytes.

    Where it holds codes FAISS compares what they propose with the vectors: for one query a third of
    the cost of reading and comparing them afterwards. Vectors of the atlas are then read there too.

    Args:
        index: of the atlas.
        atlas: whose store is read once.
        most_bytes: that the vectors may take.
    """
    store = atlas.store
    if 4 * store.cells.size * store.dim > most_bytes:
        return index
    with contextlib.suppress(DataError):  # what is corrupt is told when it is asked for
        vectors, _ = unit(store.read(store.cells).reshape(-1, store.dim))
        if index.may_refine:
            return _with_vectors(index, atlas, vectors)
        store.keep(vectors)
    return index


def _with_vectors(index: Index, atlas: Atlas, vectors: np.ndarray) -> Index:
    import faiss

    untyped: Any = faiss  # its stubs do not know that arrays are taken
    # Squared distances, as codes are compared by. Ids are rows, as there is no table of ids.
    flat = untyped.IndexFlatL2(vectors.shape[1])
    flat.add(vectors)
    held = faiss.rev_swig_ptr(flat.get_xb(), vectors.size).reshape(vectors.shape)
    made = index.refining(flat)
    atlas.store.keep(held, owner=made)
    return made
