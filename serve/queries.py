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
MAX_BOXES = 1000
MAX_SEGMENTS = 100_000
MAX_LOOKED_UP = 16
"""Masks, and classes of maps: each is read for as many locations as the boxes hold."""

BoxNm = tuple[XyzFloat, XyzFloat]
"""The lower corner of a box in nm, XYZ, which belongs to it, and the upper one, which does not."""


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
class ClassFilter:
    """Where the map of a probe says a class.

    Attributes:
        probe: its name.
        probe_class: which class; the one that is named as the probe where it is empty.
        at_least: its least probability; where it is not said, no other class is likelier.
    """

    probe: str
    probe_class: str = ""
    at_least: float | None = None

    def __post_init__(self) -> None:
        if self.at_least is not None and not 0 < self.at_least <= 1:
            raise RequestError(
                f"at_least of a class is a probability above 0 and up to 1; got {self.at_least}"
            )


@dataclasses.dataclass(frozen=True)
class Filters:
    """Which places may be found.

    Attributes:
        boxes_nm: that centres lie in: in any of them, everywhere where there are none.
        segments: that places lie in: in any of them (0 is no segment), all where there are none.
        not_segments: that they do not lie in.
        masks: names of masks that centres lie in: in any of them, all where there are none.
        classes: that maps of probes say: any of them, all where there are none.
    """

    boxes_nm: tuple[BoxNm, ...] = ()
    segments: frozenset[int] = frozenset()
    not_segments: frozenset[int] = frozenset()
    masks: frozenset[str] = frozenset()
    classes: tuple[ClassFilter, ...] = ()

    def __post_init__(self) -> None:
        for what, asked, most in (
            ("boxes", self.boxes_nm, MAX_BOXES),
            ("segments", self.segments | self.not_segments, MAX_SEGMENTS),
            ("masks", self.masks, MAX_LOOKED_UP),
            ("classes", self.classes, MAX_LOOKED_UP),
        ):
            if len(asked) > most:
                raise RequestError(
                    f"a search is limited by at most {most:,} {what}; got {len(asked):,}"
                )
        for low, high in self.boxes_nm:
            numbers = (*low, *high)
            if not all(map(math.isfinite, numbers)) or any(
                a >= b for a, b in zip(low, high, strict=True)
            ):
                raise RequestError(
                    "a box runs from its lower corner to a higher one on every axis, in finite nm "
                    f"(XYZ); got {_text(low)} to {_text(high)}"
                )
        bad = [s for s in self.segments | self.not_segments if not 0 <= s < 2**64]
        if bad:
            raise RequestError(f"a segment is a whole number from 0 to 2^64 - 1; got {bad[0]}")

    def __bool__(self) -> bool:
        return bool(self.boxes_nm or self.by_look_up)

    @property
    def by_segment(self) -> bool:
        """Whether the segments of places have to be known."""
        return bool(self.segments or self.not_segments)

    @property
    def by_look_up(self) -> bool:
        """Whether anything of places has to be read beside where they are."""
        return bool(self.by_segment or self.masks or self.classes)

    @property
    def rules(self) -> tuple[str, ...]:
        """What they ask of places, for people."""
        boxes = "lie in the box" if len(self.boxes_nm) == 1 else "lie in one of the boxes"
        told = {
            boxes: self.boxes_nm,
            "lie in the segments": self.segments,
            "do not lie in the segments left out": self.not_segments,
            "lie in the mask": self.masks,
            "are of the class": self.classes,
        }
        return tuple(rule for rule, asked in told.items() if asked)


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


def _text(nm_xyz: XyzFloat) -> str:
    return "(" + ", ".join(f"{v:g}" for v in nm_xyz) + ")"
