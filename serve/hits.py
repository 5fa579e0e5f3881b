"""What a search finds, and the places that it starts from."""

import dataclasses

import numpy as np
from jaxtyping import Float32

from embed.geometry import XyzFloat


@dataclasses.dataclass(frozen=True)
class Hit:
    """A place that was found.

    Attributes:
        id: of its location.
        position_nm_xyz: centre of its field of view.
        similarity: cosine, -1 to 1; see `serve.queries.Mode` for several examples.
        segment: that the place was given for, or that its centre lies in where a segmentation was
            given; None where that is not known or there is none.
        source: what names the place in the file that it was given in; None on a grid.
        exact: whether no better place can have been missed; the similarity is always exact.
        example: which of the examples to be like it resembles most; None for a probe.
        why: it was chosen, for people.
    """

    id: int
    position_nm_xyz: XyzFloat
    similarity: float
    segment: int | None = None
    source: int | None = None
    exact: bool = False
    example: int | None = None
    why: str = ""


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The answer to a search.

    Attributes:
        hits: best first; of equal ones the lower id first.
        query_id: location that was asked for; None where it was not one place alone.
        query_nm_xyz: centre of its field of view; None likewise.
        complete: whether there are as many hits as were asked for, and every part of the index
            answered.
        reason: why not; empty otherwise.
        candidates: how many locations were considered before spreading out.
        exact: whether every location was compared, so that no better hit can exist.
        query_vector: of the location that was asked for, of length 1; None likewise.
        next_page: gets the hits after these; empty where there are no more.
        missing: which part of the index did not answer, so that better hits may be missing; empty
            where all did.
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
    next_page: bytes = dataclasses.field(default=b"", repr=False)
    missing: str = ""


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
