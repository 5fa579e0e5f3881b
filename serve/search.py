"""Finding the places most like a place or a vector, spread out in space."""

import dataclasses
import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32

from embed.atlas import Atlas
from embed.errors import DataError, RequestError
from embed.geometry import XyzFloat
from embed.storage import digest_json
from serve.candidates import Gathered, IndexSupply, Want, gather
from serve.index import Index
from serve.locations import unit
from serve.voids import nearest_with_data

MAX_HITS = 10_000


@dataclasses.dataclass(frozen=True)
class Hit:
    """A place that was found.

    Attributes:
        id: of its location.
        position_nm_xyz: centre of its field of view.
        similarity: cosine, -1 to 1.
        segment: that the place was given for; None where that is not known, as on a grid.
        source: what names the place in the file that it was given in; None on a grid.
    """

    id: int
    position_nm_xyz: XyzFloat
    similarity: float
    segment: int | None = None
    source: int | None = None


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
        query_vector: of the location that was asked for, of length 1; None for a vector.
    """

    hits: tuple[Hit, ...]
    query_id: int | None
    query_nm_xyz: XyzFloat | None
    complete: bool
    reason: str
    candidates: int
    exact: bool
    query_vector: Float32[np.ndarray, " dim"] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )


@dataclasses.dataclass(frozen=True)
class Place:
    """A location that others are compared with.

    Attributes:
        id: of the location.
        position_nm_xyz: centre of its field of view.
        vector: of length 1.
    """

    id: int
    position_nm_xyz: XyzFloat
    vector: Float32[np.ndarray, " dim"]


class Searcher:
    """Searches one atlas. Safe to use from many threads."""

    def __init__(self, atlas: Atlas, index: Index):
        self.atlas = atlas
        self._index = index

    @property
    def encoder(self) -> str:
        """Fingerprint of the encoder of the atlas."""
        return self.atlas.info.encoder

    @property
    def default_separation_nm(self) -> float:
        """The longest edge of a field of view in nm: no two hits then show the same voxels."""
        edges = zip(self.atlas.grid.fov, self.atlas.frame.voxel_size_nm, strict=True)
        return max(voxels * size for voxels, size in edges)

    @cached_property
    def space(self) -> str:
        """Atlases with the same have positions in the same volume, in the same nm."""
        info = self.atlas.info
        return digest_json([info.volume.to_json(), dataclasses.asdict(info.frame)])

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
        check_k(k)
        separation = checked_separation(min_separation_nm, self.default_separation_nm)
        place = self.place_at(nm_xyz)
        excluded = np.array([place.position_nm_xyz])[:, ::-1]
        want = Want(k, separation, excluded, self.space, (0, place.id))
        return dataclasses.replace(
            self._find(place.vector, want),
            query_id=place.id,
            query_nm_xyz=place.position_nm_xyz,
            query_vector=place.vector,
        )

    def place_at(self, nm_xyz: Sequence[float]) -> Place:
        """The location nearest to a position in nm, XYZ.

        Raises:
            RequestError: the position is not three finite numbers.
            OutOfBoundsError: it is outside the atlas.
            DataError: there is no data.
        """
        location = int(self.atlas.ids_at(_positions([nm_xyz]))[0])
        vectors, has_data = unit(self.atlas.embeddings(np.array([location])))
        if not has_data[0]:
            raise DataError(self._void_message(location))
        centre = self.atlas.positions_nm_xyz(np.array([location]))[0]
        return Place(location, _triple(centre), vectors[0])

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
        check_k(k)
        separation = checked_separation(min_separation_nm, self.default_separation_nm)
        direction = self._direction(vector)
        excluded = np.empty((0, 3)) if exclude_nm_xyz is None else _positions(exclude_nm_xyz)
        return self._find(direction, Want(k, separation, excluded[:, ::-1], self.space))

    def supply(self, vector: Float32[np.ndarray, " dim"], k: int) -> IndexSupply:
        """Candidates for `k` hits like a vector of length 1."""
        return IndexSupply(self.atlas, self._index, vector, k, self.space)

    def hits(self, found: Gathered) -> tuple[Hit, ...]:
        """What is to be told of locations of this atlas."""
        places = self.atlas.positions_nm_xyz(found.ids)
        columns = (found.ids, places, found.similarities, self.atlas.known_of(found.ids))
        return tuple(
            Hit(int(i), _triple(nm_xyz), float(np.clip(cosine, -1, 1)), *known)
            for i, nm_xyz, cosine, known in zip(*columns, strict=True)
        )

    def _direction(
        self, vector: Float[np.ndarray, " dim"] | Sequence[float]
    ) -> Float32[np.ndarray, " dim"]:
        values = np.asarray(vector, np.float64)
        dim = self._index.manifest.dim
        if values.shape != (dim,):
            raise RequestError(
                f"atlas {self.atlas.name!r} holds {dim}-dimensional embeddings; the query has "
                f"{values.size} numbers"
            )
        largest = np.abs(values).max()
        if not (np.isfinite(largest) and largest > 0):
            raise RequestError("a query vector needs finite numbers that are not all zero")
        values = values / largest  # so that squares neither overflow nor vanish
        return (values / np.linalg.norm(values)).astype(np.float32)

    def _void_message(self, location: int) -> str:
        asked = _text(self.atlas.positions_nm_xyz(np.array([location]))[0])
        nearest = nearest_with_data(self.atlas, location)
        if nearest is None:
            return f"there is no data at {asked} nm (XYZ), nor anywhere near it"
        place = _text(self.atlas.positions_nm_xyz(np.array([nearest]))[0])
        return f"there is no data at {asked} nm (XYZ); the nearest place with data is {place} nm"

    def _find(self, vector: Float32[np.ndarray, " dim"], want: Want) -> SearchResult:
        supply = self.supply(vector, want.k)
        found = gather([supply], want)
        return SearchResult(
            hits=self.hits(found),
            query_id=None,
            query_nm_xyz=None,
            complete=len(found) == want.k,
            reason=reason(want, found),
            candidates=found.candidates,
            exact=supply.exact,
        )


def check_k(k: int) -> None:
    """Checks a number of hits.

    Raises:
        RequestError: it is out of its range.
    """
    if not 1 <= k <= MAX_HITS:
        raise RequestError(f"k is the number of hits, 1 to {MAX_HITS}; got {k}")


def checked_separation(asked: float | None, default: float) -> float:
    """A least distance in nm.

    Raises:
        RequestError: it is out of its range.
    """
    separation = default if asked is None else float(asked)
    if not (math.isfinite(separation) and separation >= 0):
        raise RequestError(
            f"min_separation_nm is a finite distance in nm, 0 or more; got {separation:g}"
        )
    return separation


def _positions(nm_xyz: object) -> Float[np.ndarray, "m 3"]:
    positions = np.atleast_2d(np.asarray(nm_xyz, np.float64))
    if positions.ndim != 2 or positions.shape[1] != 3 or not np.isfinite(positions).all():
        raise RequestError(f"a position is three finite numbers in nm (XYZ); got {nm_xyz}")
    return positions


def reason(want: Want, found: Gathered) -> str:
    """Why there are fewer hits than were wanted; empty where there are as many."""
    if len(found) == want.k:
        return ""
    apart = f"at least {want.separation_nm:g} nm"
    if want.separation_nm == 0:
        rule = "have data" if want.itself is None else "besides the query have data"
    elif len(want.excluded_nm):
        rule = f"are {apart} from each other and from the query"
    else:
        rule = f"are {apart} apart"
    scope = "" if found.everything else f" among the {found.candidates:,} most similar locations"
    return f"only {len(found)} places {rule}{scope}"


def _triple(nm_xyz: Float[np.ndarray, " 3"]) -> XyzFloat:
    x, y, z = nm_xyz.tolist()
    return x, y, z


def _text(nm_xyz: Float[np.ndarray, " 3"]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in nm_xyz.tolist()) + ")"
