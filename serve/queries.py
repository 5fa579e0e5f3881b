"""What can be asked for: what places should be like, which may be found, how many, how far apart.

These say what a caller wants and check what needs no atlas; `serve.searching`, its `aims` and
`selection`, makes of them what an atlas can be searched by.
"""

import dataclasses
import math
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from embed.errors import RequestError
from embed.geometry import XyzFloat
from serve.filters import BoxNm, ClassFilter, Filters, LabelFilter

__all__ = [
    "MAX_HITS",
    "BoxNm",
    "ClassFilter",
    "Filters",
    "LabelFilter",
    "Mode",
    "Query",
    "Wish",
]

Mode = Literal["average", "best", "linear"]
"""How several examples become one similarity.

average: cosine to the mean of what to be like, less `unlike_weight` times the mean of what to be
    unlike and `typical_weight` times what is typical of the atlas (Rocchio's).
best: the highest cosine to what to be like, less the highest to what to be unlike, if any.
linear: cosine to the weights of a logistic regression that tells the two kinds of examples apart.
"""

MODES: tuple[Mode, ...] = ("average", "best", "linear")
MAX_HITS = 10_000
MAX_VECTORS = 1024
MAX_HITS_OF_EACH = 100_000
"""Hits that one call answers for many vectors together: some ten megabytes."""
MAX_EXAMPLES = 1000
MAX_WEIGHT = 1000.0
# What a search by so many examples, or for so many hits, computes takes some milliseconds.
_FEW_EXAMPLES, _FEW_HITS = 4, 100


@dataclasses.dataclass(frozen=True, eq=False)
class Query:
    """Examples of what places should be like and unlike, or a probe.

    Examples to be like are counted from 0: places, then vectors, then the cut-out.

    Attributes:
        like_nm_xyz: places in nm; they and their surroundings are not found.
        unlike_nm_xyz: places in nm to be unlike; nor are these.
        like: vectors of any length but zero.
        unlike: vectors to be unlike.
        cut_out: voxels [z, y, x] at the voxel size of the atlas.
        mode: how they become one similarity.
        unlike_weight: of the mean of what to be unlike.
        typical_weight: of what is typical of the tissue, the mean embedding of the atlas, which
            is taken off the mean of what to be like, or in mode best off each example. 0.5 finds
            more of what is rare, and less of what most places show; 0 is the plain cosine.
        probe: name of a probe of the atlas, instead of examples: where is it surest of a class?
        probe_class: which; the one that is named as the probe where it is empty.
    """

    like_nm_xyz: tuple[XyzFloat, ...] = ()
    unlike_nm_xyz: tuple[XyzFloat, ...] = ()
    like: tuple[Float[np.ndarray, " dim"], ...] = ()
    unlike: tuple[Float[np.ndarray, " dim"], ...] = ()
    cut_out: Shaped[np.ndarray, "z y x"] | None = None
    mode: Mode = "average"
    unlike_weight: float = 0.5
    typical_weight: float = 0.0
    probe: str = ""
    probe_class: str = ""

    def __post_init__(self) -> None:
        likes = len(self.like_nm_xyz) + len(self.like) + (self.cut_out is not None)
        unlikes = len(self.unlike_nm_xyz) + len(self.unlike)
        if self.mode not in MODES:
            raise RequestError(f"a mode is one of {', '.join(MODES)}; got {self.mode!r}")
        if self.probe and likes + unlikes:
            raise RequestError("say what to look for: examples or a probe, not both")
        if self.probe_class and not self.probe:
            raise RequestError(f"class {self.probe_class!r} is of which probe? name it")
        if not (likes or self.probe):
            raise RequestError(
                "say what to look for: position_nm or vector, at least one example to be like, or "
                "a probe"
            )
        if likes + unlikes > MAX_EXAMPLES:
            raise RequestError(
                f"a search takes at most {MAX_EXAMPLES} examples; got {likes + unlikes}; train a "
                "probe on them"
            )
        if self.mode == "linear" and not unlikes and not self.probe:
            raise RequestError(
                "mode linear tells two kinds of examples apart: give at least one to be unlike, or "
                "take mode average"
            )
        for name in ("unlike_weight", "typical_weight"):
            if not 0 <= getattr(self, name) <= MAX_WEIGHT:
                raise RequestError(
                    f"{name} is 0 or more, up to {MAX_WEIGHT:g}; got {getattr(self, name)}"
                )
        if self.typical_weight and (self.probe or self.mode == "linear"):
            raise RequestError(
                "typical_weight is for examples in mode average or best: mode linear and probes "
                "learn by themselves what sets a class apart"
            )


@dataclasses.dataclass(frozen=True)
class Wish:
    """How many places are wanted, and which.

    Attributes:
        k: how many, 1 to 10,000.
        min_separation_nm: least Euclidean distance between two of them, and to examples; the
            longest edge of a field of view where it is not said. At 0 only the examples themselves
            are left out.
        filters: which may be found.
        per_segment: how many of one segment at most; a place of no segment counts for itself.
        at_least: the least similarity.
        page: `SearchResult.next_page` of the search before this one, for the hits after its own.
    """

    k: int = 10
    min_separation_nm: float | None = None
    filters: Filters = Filters()
    per_segment: int | None = None
    at_least: float | None = None
    page: bytes = b""

    def __post_init__(self) -> None:
        if not 1 <= self.k <= MAX_HITS:
            raise RequestError(f"k is the number of hits, 1 to {MAX_HITS}; got {self.k}")
        checked_separation(self.min_separation_nm, 0)
        if self.per_segment is not None and self.per_segment < 1:
            raise RequestError(
                f"per_segment is the number of hits of one segment, at least 1; got "
                f"{self.per_segment}"
            )
        if self.at_least is not None:
            check_threshold(self.at_least)


def takes_long(query: Query, wish: Wish) -> bool:
    """Whether a search computes for more than some milliseconds, in the largest atlas."""
    examples = len(query.like) + len(query.like_nm_xyz)
    learns = query.mode == "linear" or query.cut_out is not None or bool(query.probe)
    return learns or examples > _FEW_EXAMPLES or wish.k > _FEW_HITS or bool(wish.page)


def check_batch(vectors: int, wish: Wish) -> None:
    """Checks a search for each of so many vectors.

    Raises:
        RequestError: there are too many or none, or too many hits of them, or a page is asked for.
    """
    if not 1 <= vectors <= MAX_VECTORS or vectors * wish.k > MAX_HITS_OF_EACH:
        raise RequestError(
            f"one call takes 1 to {MAX_VECTORS} vectors and answers {MAX_HITS_OF_EACH:,} hits; "
            f"got {vectors} vectors with k = {wish.k}"
        )
    if wish.page:
        raise RequestError("the next page is asked for one vector at a time")


def check_threshold(at_least: float) -> None:
    """Checks a least similarity.

    Raises:
        RequestError: it is none.
    """
    if not -2 <= at_least <= 2:
        raise RequestError(
            f"at_least is a similarity, a finite number from -2 to 2 such as 0.8; got {at_least}"
        )


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
