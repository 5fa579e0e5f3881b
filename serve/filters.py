"""Which places may be found: by where they are, and by what is known of them."""

import dataclasses
import math

from embed.errors import RequestError
from embed.geometry import XyzFloat

MAX_BOXES = 1000
MAX_SEGMENTS = 100_000
MAX_LOOKED_UP = 16
"""Masks, classes of maps, and kinds of labels."""

BoxNm = tuple[XyzFloat, XyzFloat]
"""The lower corner of a box in nm, XYZ, which belongs to it, and the upper one, which does not."""


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
class LabelFilter:
    """Where somebody has labelled the location.

    Attributes:
        label_set: the class set.
        label: as which class; any where it is empty.
    """

    label_set: str
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Filters:
    """Which places may be found.

    Attributes:
        boxes_nm: that centres lie in: in any of them, everywhere where there are none.
        segments: that places lie in: in any of them (0 is no segment), all where there are none.
        not_segments: that they do not lie in.
        masks: names of masks that centres lie in: in any of them, all where there are none.
        classes: that maps of probes say: any of them, all where there are none.
        labels: that places are labelled so: any of them, all where there are none.
        not_labels: that places are not labelled so. Hits keep their distance from those, too, as
            they do from what they are to be like.
    """

    boxes_nm: tuple[BoxNm, ...] = ()
    segments: frozenset[int] = frozenset()
    not_segments: frozenset[int] = frozenset()
    masks: frozenset[str] = frozenset()
    classes: tuple[ClassFilter, ...] = ()
    labels: tuple[LabelFilter, ...] = ()
    not_labels: tuple[LabelFilter, ...] = ()

    def __post_init__(self) -> None:
        for what, asked, most in (
            ("boxes", self.boxes_nm, MAX_BOXES),
            ("segments", self.segments | self.not_segments, MAX_SEGMENTS),
            ("masks", self.masks, MAX_LOOKED_UP),
            ("classes", self.classes, MAX_LOOKED_UP),
            ("kinds of labels", self.labels + self.not_labels, MAX_LOOKED_UP),
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
        return self.selects or bool(self.not_labels)

    @property
    def selects(self) -> bool:
        """Whether only a part of the locations may be found, but for what is labelled."""
        return bool(self.boxes_nm or self.labels or self.by_look_up)

    @property
    def by_label(self) -> bool:
        """Whether the labels of places have to be known."""
        return bool(self.labels or self.not_labels)

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
            "are labelled so": self.labels,
            "are not labelled so, nor near what is": self.not_labels,
        }
        return tuple(rule for rule, asked in told.items() if asked)


def _text(nm_xyz: XyzFloat) -> str:
    return "(" + ", ".join(f"{v:g}" for v in nm_xyz) + ")"
