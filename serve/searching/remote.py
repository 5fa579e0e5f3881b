"""An atlas at a server, as one of several that are searched together."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Float32, Int

from embed.errors import MismatchError
from embed.storage import digest_json
from serve.hits import Hit, Place, SearchResult
from serve.queries import MAX_HITS, Filters
from serve.searching.candidates import FIRST_FETCH, REFILL, Batch, Gathered
from serve.searching.gaps import note_gap
from serve.wire.answers import AtlasSummary

Find = Callable[..., SearchResult]
"""`Client.find_similar` of one atlas."""


class RemoteAtlas:
    """See `serve.searching.together.Searched`."""

    def __init__(self, summary: AtlasSummary, find: Find) -> None:
        self.encoder = summary.encoder
        self._summary = summary
        self._find = find
        self._hits: dict[int, Hit] = {}

    @property
    def default_separation_nm(self) -> float:
        """See `Searched`."""
        edges = zip(self._summary.fov_voxels, self._summary.voxel_size_nm, strict=True)
        return max(voxels * size for voxels, size in edges)

    def place_at(self, nm_xyz: Sequence[float]) -> Place:
        """See `Searched`.

        Raises:
            MismatchError: the server is too old to tell the vector of a location.
        """
        found = self._find(position_nm_xyz=nm_xyz, k=1)
        if found.query_vector is None or found.query_id is None or found.query_nm_xyz is None:
            raise MismatchError(
                "the server does not tell what a location looks like, which other atlases would be "
                "searched by: update voxkin there"
            )
        return Place(found.query_id, found.query_nm_xyz, found.query_vector)

    def supply(
        self, vector: Float32[np.ndarray, " dim"], k: int, filters: Filters, *, spread: bool
    ) -> "RemoteSupply":
        """See `Searched`."""
        summary = self._summary
        space = digest_json([summary.source, summary.voxel_size_nm, summary.volume_nm])
        find = functools.partial(self._find, vector=vector, min_separation_nm=0.0, filters=filters)
        first = max(FIRST_FETCH, REFILL * k) if spread else REFILL * k
        return RemoteSupply(find, first, space, self._hits)

    def hits(self, found: Gathered) -> tuple[Hit, ...]:
        """See `Searched`."""
        return tuple(self._hits[i] for i in found.ids.tolist())


class RemoteSupply:
    """The candidates that a server has for a vector; see `serve.searching.candidates.Supply`."""

    def __init__(self, find: Find, first: int, space: str, hits: dict[int, Hit]) -> None:
        self.space = space
        self.anchor_nm = np.zeros(3)
        self.exact = True
        self._find, self._hits = find, hits
        self._fetch = min(first, MAX_HITS)
        self.batch = self._fetched()

    @property
    def spent(self) -> bool:
        """See `Supply`."""
        return self.batch.everything or self._fetch >= MAX_HITS

    def more(self) -> None:
        """See `Supply`."""
        self._fetch = min(REFILL * self._fetch, MAX_HITS)
        self.batch = self._fetched()

    def offsets_nm(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """See `Supply`."""
        places = [self._hits[i].position_nm_xyz for i in ids.tolist()]
        return np.array(places, float).reshape(-1, 3)[:, ::-1]

    def _fetched(self) -> Batch:
        """What the server finds without spreading it out: all it has, where that is less."""
        result = self._find(k=self._fetch)
        if result.missing:
            note_gap(result.missing)
        self._hits.update((hit.id, hit) for hit in result.hits)
        self.exact = result.exact
        ids = np.array([hit.id for hit in result.hits], np.int64)
        cosines = np.array([hit.similarity for hit in result.hits], np.float32)
        more = len(result.hits) == self._fetch
        if more:  # which of the equally similar were cut off is chance
            known = cosines > cosines[-1]
            ids, cosines = ids[known], cosines[known]
        return Batch(ids, cosines, not more, more)
