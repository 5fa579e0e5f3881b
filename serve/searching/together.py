"""Searching several atlases of one encoder together: on a grid or of given places, of any volumes.

All are searched by the vector of one location, and their candidates are spread out together, so
that the answer is that of one atlas with the places of all. Where they are of the same volume,
a hit keeps its distance from those of the others, too.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from embed.errors import DataError, MismatchError, OutOfBoundsError, RequestError
from serve.hits import Hit, Place, SearchResult
from serve.queries import Filters, Wish, checked_separation
from serve.searching.candidates import Gathered, Supply, Want, gather
from serve.searching.gaps import flagged, looking_for_gaps
from serve.searching.telling import reason


@dataclasses.dataclass(frozen=True)
class JointHit(Hit):
    """A place that was found in one of several atlases.

    Attributes:
        atlas: its name.
    """

    atlas: str = ""


@dataclasses.dataclass(frozen=True)
class JointResult(SearchResult):
    """The answer to a search of several atlases; every hit is a `JointHit`.

    Attributes:
        query_atlas: which of them the location that was asked for is of.
    """

    query_atlas: str = ""


class Searched(Protocol):
    """One of the atlases, here or at a server."""

    @property
    def encoder(self) -> str:
        """Fingerprint of its encoder."""
        ...

    @property
    def default_separation_nm(self) -> float:
        """The longest edge of a field of view in nm."""
        ...

    def place_at(self, nm_xyz: Sequence[float]) -> Place:
        """The location nearest to a position in nm, XYZ."""
        ...

    def supply(
        self, vector: Float32[np.ndarray, " dim"], k: int, filters: Filters, *, spread: bool
    ) -> Supply:
        """Candidates for `k` hits like a vector of length 1, among what passes filters.

        Where hits are to be spread out in space, there are many more.
        """
        ...

    def hits(self, found: Gathered) -> tuple[Hit, ...]:
        """What is to be told of locations that its supply gave."""
        ...


def find_together(
    atlases: Mapping[str, Searched],
    nm_xyz: Sequence[float],
    k: int = 10,
    min_separation_nm: float | None = None,
    filters: Filters = Filters(),
) -> JointResult:
    """The `k` places of all atlases most like the location nearest to a position.

    Args:
        atlases: by the names that hits tell; the location is of the first that has one there.
        nm_xyz: the position in nm, XYZ.
        k: number of hits, 1 to 10,000.
        min_separation_nm: see `Searcher.find_at`; between places of the same volume.
        filters: which places of each atlas may be found, by its own volume, masks and maps.

    Raises:
        RequestError: an argument is out of its range, or filters are by labels.
        NotFoundError: an atlas has no such mask or map.
        MismatchError: two atlases are not of the same encoder.
        OutOfBoundsError: the position is outside all of them.
        DataError: it is inside, but there is no data.
    """
    Wish(k, min_separation_nm)  # which checks both
    if filters.by_label:
        raise RequestError("labels are of one atlas: name one to search by what is labelled")
    _require_one_encoder(atlases)
    names, searched = list(atlases), list(atlases.values())
    usual = max(each.default_separation_nm for each in searched)
    separation = checked_separation(min_separation_nm, usual)
    asked, place = _place(atlases, nm_xyz)
    with looking_for_gaps() as gaps:
        result = _found(names, searched, asked, place, Wish(k, separation, filters=filters))
    return flagged(result, gaps)


def _found(
    names: Sequence[str], searched: Sequence[Searched], asked: int, place: Place, wish: Wish
) -> JointResult:
    """The places most like one that is of the atlas whose number is asked for."""
    k, separation, filters = wish.k, wish.min_separation_nm or 0.0, wish.filters
    spread = separation > 0
    supplies = [each.supply(place.vector, k, filters, spread=spread) for each in searched]
    excluded = np.array([place.position_nm_xyz])[:, ::-1]
    want = Want(
        k,
        separation,
        excluded,
        supplies[asked].space,
        itself=(asked, place.id),
        rules=filters.rules,
    )
    found = gather(supplies, want)
    exact = all(supply.exact for supply in supplies)
    return JointResult(
        hits=_hits(names, searched, found, exact),
        query_id=place.id,
        query_nm_xyz=place.position_nm_xyz,
        complete=len(found) == k,
        reason=reason(want, found),
        candidates=found.candidates,
        exact=exact,
        query_vector=place.vector,
        query_atlas=names[asked],
    )


def _require_one_encoder(atlases: Mapping[str, Searched]) -> None:
    (first, searched), *others = atlases.items()
    for name, other in others:
        if other.encoder != searched.encoder:
            raise MismatchError(
                f"atlas {first!r} was made by encoder {searched.encoder} and {name!r} by "
                f"{other.encoder}: only atlases of the same encoder can be searched together"
            )


def _place(atlases: Mapping[str, Searched], nm_xyz: Sequence[float]) -> tuple[int, Place]:
    """The location that is asked for, and which of the atlases it is of."""
    refusals: list[DataError | OutOfBoundsError] = []
    for number, searched in enumerate(atlases.values()):
        try:
            return number, searched.place_at(nm_xyz)
        except (DataError, OutOfBoundsError) as error:
            refusals.append(error)
    # What is inside but void is nearer to what was meant than what is outside.
    kind = next((DataError for error in refusals if isinstance(error, DataError)), OutOfBoundsError)
    told = "; ".join(f"{name}: {error}" for name, error in zip(atlases, refusals, strict=True))
    raise kind(f"none of the atlases has a location there: {told}")


def _hits(
    names: Sequence[str], searched: Sequence[Searched], found: Gathered, exact: bool
) -> tuple[JointHit, ...]:
    hits: dict[int, JointHit] = {}
    for number, (name, each) in enumerate(zip(names, searched, strict=True)):
        rows = np.flatnonzero(found.supplies == number)
        for row, hit in zip(rows.tolist(), each.hits(found.take(rows)), strict=True):
            told = dataclasses.replace(hit, exact=exact, why="like the place")
            hits[row] = JointHit(**vars(told), atlas=name)
    return tuple(hits[row] for row in range(len(found)))
