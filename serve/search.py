"""Finding the places most like a place or a vector, spread out in space.

Most of a place's nearest neighbours among embeddings are its neighbours in space, so a search
fetches many candidates, drops those too near to a better one or to the query, and fetches more
until enough are left or there is nothing more to fetch.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Int

from embed.atlas import Atlas
from embed.errors import DataError, RequestError
from embed.geometry import XyzFloat
from serve.index import Index
from serve.locations import similarities, unit
from serve.suppression import suppress
from serve.voids import nearest_with_data

MAX_HITS = 10_000
FIRST_FETCH = 1000
"""Candidates fetched at first: after suppression they hold ten hits nearly always, for 3 ms."""

REFILL = 4
"""Each refill fetches this many times more candidates, and where lists ran dry reads this many
times more lists."""

MAX_FETCH = 2**20
"""Candidates past which a search gives up: sorting more takes seconds."""


@dataclasses.dataclass(frozen=True)
class Hit:
    """A place that was found.

    Attributes:
        id: of its location.
        position_nm_xyz: centre of its field of view.
        similarity: cosine, -1 to 1.
    """

    id: int
    position_nm_xyz: XyzFloat
    similarity: float


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The answer to a search.

    Attributes:
        hits: best first; of equal ones the lower id first.
        query_id: location that was asked for; None for a vector.
        query_nm_xyz: centre of its field of view; None for a vector.
        complete: whether there are as many hits as were asked for.
        reason: why not; empty otherwise.
        candidates: how many locations were considered before spreading out.
        exact: whether every location was compared, so that no better hit can exist.
    """

    hits: tuple[Hit, ...]
    query_id: int | None
    query_nm_xyz: XyzFloat | None
    complete: bool
    reason: str
    candidates: int
    exact: bool


@dataclasses.dataclass(frozen=True)
class _Query:
    """A checked query: unit vector, number of hits, separation in nm, places to stay away from."""

    vector: Float32[np.ndarray, " dim"]
    k: int
    separation_nm: float
    excluded_nm_xyz: Float[np.ndarray, "m 3"]
    itself: int = -1


@dataclasses.dataclass(frozen=True)
class _Candidates:
    """Locations in the order of their similarity.

    Attributes:
        ids: of locations, of equally similar ones the lower first.
        similarities: exact cosines.
        dry: whether the lists that were read hold no others.
        everything: whether the index holds no others.
    """

    ids: Int[np.ndarray, " n"]
    similarities: Float32[np.ndarray, " n"]
    dry: bool
    everything: bool


class Searcher:
    """Searches one atlas. Safe to use from many threads."""

    def __init__(self, atlas: Atlas, index: Index):
        self._atlas = atlas
        self._index = index

    @property
    def default_separation_nm(self) -> float:
        """The longest edge of a field of view in nm: no two hits then show the same voxels."""
        edges = zip(self._atlas.grid.fov, self._atlas.frame.voxel_size_nm, strict=True)
        return max(voxels * size for voxels, size in edges)

    def find_at(
        self, nm_xyz: Sequence[float], k: int = 10, min_separation_nm: float | None = None
    ) -> SearchResult:
        """The `k` places most like the location nearest to a position.

        Args:
            nm_xyz: the position in nm, XYZ; at most half a stride outside the locations.
            k: number of hits, 1 to 10,000.
            min_separation_nm: least Euclidean distance between two hits and between a hit and the
                query; `default_separation_nm` where it is not said. At 0 only the query itself is
                left out.

        Raises:
            RequestError: an argument is out of its range.
            OutOfBoundsError: the position is outside the atlas.
            DataError: there is no data at the position.
        """
        _check_k(k)
        separation = self._separation(min_separation_nm)
        location = int(self._atlas.ids_at(_positions([nm_xyz]))[0])
        vectors, has_data = unit(self._atlas.embeddings(np.array([location])))
        if not has_data[0]:
            raise DataError(self._void_message(location))
        centre = self._atlas.positions_nm_xyz(np.array([location]))
        found = self._find(_Query(vectors[0], k, separation, centre, location))
        return dataclasses.replace(found, query_id=location, query_nm_xyz=_triple(centre[0]))

    def find_like(
        self,
        vector: Float[np.ndarray, " dim"] | Sequence[float],
        k: int = 10,
        min_separation_nm: float | None = None,
        exclude_nm_xyz: Sequence[float] | Float[np.ndarray, "m 3"] | None = None,
    ) -> SearchResult:
        """The `k` places most like a vector of any length but zero.

        Args:
            vector: as many numbers as an embedding has.
            k: number of hits, 1 to 10,000.
            min_separation_nm: least Euclidean distance between two hits; `default_separation_nm`
                where it is not said.
            exclude_nm_xyz: one position in nm, XYZ, or several, that no hit may be nearer to.

        Raises:
            RequestError: an argument is out of its range, or the vector of another length.
        """
        _check_k(k)
        separation = self._separation(min_separation_nm)
        direction = self._direction(vector)
        excluded = np.empty((0, 3)) if exclude_nm_xyz is None else _positions(exclude_nm_xyz)
        return self._find(_Query(direction, k, separation, excluded))

    def _separation(self, asked: float | None) -> float:
        separation = self.default_separation_nm if asked is None else float(asked)
        if not (math.isfinite(separation) and separation >= 0):
            raise RequestError(
                f"min_separation_nm is a finite distance in nm, 0 or more; got {separation:g}"
            )
        return separation

    def _direction(
        self, vector: Float[np.ndarray, " dim"] | Sequence[float]
    ) -> Float32[np.ndarray, " dim"]:
        values = np.asarray(vector, np.float64)
        dim = self._index.manifest.dim
        if values.shape != (dim,):
            raise RequestError(
                f"atlas {self._atlas.name!r} holds {dim}-dimensional embeddings; the query has "
                f"{values.size} numbers"
            )
        largest = np.abs(values).max()
        if not (np.isfinite(largest) and largest > 0):
            raise RequestError("a query vector needs finite numbers that are not all zero")
        values = values / largest  # so that squares neither overflow nor vanish
        return (values / np.linalg.norm(values)).astype(np.float32)

    def _void_message(self, location: int) -> str:
        asked = _text(self._atlas.positions_nm_xyz(np.array([location]))[0])
        nearest = nearest_with_data(self._atlas, location)
        if nearest is None:
            return f"there is no data at {asked} nm (XYZ), nor anywhere near it"
        place = _text(self._atlas.positions_nm_xyz(np.array([nearest]))[0])
        return f"there is no data at {asked} nm (XYZ); the nearest place with data is {place} nm"

    def _find(self, query: _Query) -> SearchResult:
        manifest = self._index.manifest
        fetch, nprobe = max(FIRST_FETCH, REFILL * query.k), manifest.nprobe
        while True:
            found = self._candidates(query, fetch, nprobe)
            kept = self._spread_out(query, found.ids)
            if len(kept) == query.k or found.everything or fetch >= MAX_FETCH:
                break
            if found.dry:
                nprobe = min(REFILL * nprobe, manifest.lists)
            fetch = min(REFILL * fetch, MAX_FETCH)
        ids = found.ids[kept]
        hits = map(self._hit, ids, found.similarities[kept], self._atlas.positions_nm_xyz(ids))
        complete = len(kept) == query.k
        return SearchResult(
            hits=tuple(hits),
            query_id=None,
            query_nm_xyz=None,
            complete=complete,
            reason="" if complete else _reason(query, len(kept), found),
            candidates=len(found.ids),
            exact=manifest.holds_vectors and nprobe == manifest.lists,
        )

    def _candidates(self, query: _Query, fetch: int, nprobe: int) -> _Candidates:
        fetch = min(fetch, self._index.size)
        found, found_ids = self._index.search(query.vector[None], fetch, nprobe)
        ids = found_ids[0][found_ids[0] >= 0]
        dry, everything = len(ids) < fetch, len(ids) == self._index.size
        if self._index.manifest.holds_vectors:
            cosines = found[0][: len(ids)]
            if not (dry or everything):  # which of the equally similar were cut off is chance
                known = cosines > cosines[-1]
                ids, cosines = ids[known], cosines[known]
        else:
            cosines = similarities(self._atlas, query.vector[None], ids[None])[0]
        order = np.lexsort((ids, -cosines))
        return _Candidates(ids[order], cosines[order], dry, everything)

    def _spread_out(self, query: _Query, ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, " kept"]:
        # From grid indices, so that equal steps are equal to the last bit anywhere in the volume.
        step = np.multiply(self._atlas.grid.stride, self._atlas.frame.voxel_size_nm)
        first = np.asarray(self._atlas.extent_nm_xyz[0])[::-1]
        points = self._atlas.grid.cells_of(ids) * step
        excluded = query.excluded_nm_xyz[:, ::-1] - first
        others = np.flatnonzero(ids != query.itself)
        return others[suppress(points[others], query.k, query.separation_nm, excluded)]

    @staticmethod
    def _hit(location: int, similarity: float, nm_xyz: Float[np.ndarray, " 3"]) -> Hit:
        return Hit(int(location), _triple(nm_xyz), float(np.clip(similarity, -1, 1)))


def _check_k(k: int) -> None:
    if not 1 <= k <= MAX_HITS:
        raise RequestError(f"k is the number of hits, 1 to {MAX_HITS}; got {k}")


def _positions(nm_xyz: object) -> Float[np.ndarray, "m 3"]:
    positions = np.atleast_2d(np.asarray(nm_xyz, np.float64))
    if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
        raise RequestError(f"a position is three finite numbers in nm (XYZ); got {nm_xyz}")
    return positions


def _reason(query: _Query, kept: int, found: _Candidates) -> str:
    apart = f"at least {query.separation_nm:g} nm"
    if query.separation_nm == 0:
        rule = "have data" if query.itself < 0 else "besides the query have data"
    elif len(query.excluded_nm_xyz):
        rule = f"are {apart} from each other and from the query"
    else:
        rule = f"are {apart} apart"
    scope = "" if found.everything else f" among the {len(found.ids):,} most similar locations"
    return f"only {kept} places {rule}{scope}"


def _triple(nm_xyz: Float[np.ndarray, " 3"]) -> XyzFloat:
    x, y, z = nm_xyz.tolist()
    return x, y, z


def _text(nm_xyz: Float[np.ndarray, " 3"]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in nm_xyz.tolist()) + ")"
