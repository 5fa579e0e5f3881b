"""Tokens of pages: which hits have been told, of which search, by which version of the index.

A search for the next page keeps off what was told, as if it had just been found. So nothing is told
twice, and a better place that a larger search finds late is told late, never lost.
"""

import numpy as np
from jaxtyping import Int

from embed.errors import MismatchError, RequestError
from embed.storage import digest
from serve.index import Index
from serve.queries import MAX_HITS, Wish
from serve.searching.aims import Aim

_NO_TOKEN = "a page token is what the search before answered as next_page; got something else"
_DIGEST = 16
_ID = np.dtype("<u8")


def told_before(aim: Aim, wish: Wish, index: Index, atlas_size: int) -> Int[np.ndarray, " n"]:
    """The hits of the pages before; none for the first page.

    Args:
        aim: of the search.
        wish: which has the token.
        index: that is searched.
        atlas_size: ids are below it.

    Raises:
        RequestError: the token is no token, or of another search.
        MismatchError: it is of an index that was replaced since.
    """
    if not wish.page:
        return np.empty(0, np.int64)
    version, search, ids = _unpacked(wish.page)
    if version != _version(index):
        raise MismatchError(
            "the index was replaced since the page before this one; search again from the first"
        )
    if search != _search(aim, wish):
        raise RequestError("the page token is of another search: only k may be another than before")
    if len(ids) >= MAX_HITS or (ids >= atlas_size).any():
        raise RequestError(_NO_TOKEN)
    return ids.astype(np.int64)


def next_token(aim: Aim, wish: Wish, index: Index, ids: Int[np.ndarray, " n"]) -> bytes:
    """The token that asks for what comes after some hits; empty where no more are told."""
    if len(ids) >= MAX_HITS:
        return b""
    return _version(index) + _search(aim, wish) + np.ascontiguousarray(ids, _ID).tobytes()


def _version(index: Index) -> bytes:
    manifest = index.manifest
    return _short(manifest.version, manifest.atlas, manifest.sha256)


def _search(aim: Aim, wish: Wish) -> bytes:
    filters = wish.filters
    return _short(
        *(vectors.tobytes() for vectors in (aim.towards, aim.against)),
        [place.id for place in aim.places],
        [wish.per_segment],
        *(None if n is None else float(n) for n in (wish.min_separation_nm, wish.at_least)),
        np.array(filters.boxes_nm, float).tobytes(),
        [sorted(filters.segments), sorted(filters.not_segments)],
        [sorted(filters.masks), filters.classes, filters.labels, filters.not_labels],
    )


def _short(*parts: object) -> bytes:
    texts = (part if isinstance(part, bytes) else repr(part).encode() for part in parts)
    return digest(b"\0".join(texts))[:_DIGEST].encode()


def _unpacked(token: bytes) -> tuple[bytes, bytes, np.ndarray]:
    ids = token[2 * _DIGEST :]
    if len(ids) % _ID.itemsize or not ids:
        raise RequestError(_NO_TOKEN)
    return token[:_DIGEST], token[_DIGEST : 2 * _DIGEST], np.frombuffer(ids, _ID)
