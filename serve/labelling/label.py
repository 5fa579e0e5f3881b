"""A label, and what changed among labels."""

import dataclasses

from embed.geometry import XyzFloat


@dataclasses.dataclass(frozen=True)
class Place:
    """A position that someone has named; a label to be.

    Attributes:
        position_nm_xyz: in nm.
        label: name of its class.
        author: who says so, and
        time: when (UTC, ISO 8601), where that is not who stores it, and now.
        segment: the segment that the place lies in, where its source says so; 0 is none.
        line: of the file that says so, or what numbers the place there.
    """

    position_nm_xyz: XyzFloat
    label: str
    author: str = ""
    time: str = ""
    segment: int = 0
    line: int = 0


@dataclasses.dataclass(frozen=True)
class Label:
    """What an author says of the location nearest to a position. Never changed once it is stored.

    Attributes:
        id: its number; later ones have greater numbers.
        position_nm_xyz: as it was given.
        location: id of the location of the atlas that is nearest to it.
        set: name of the class set.
        label: name of the class.
        author: who says so.
        time: when: UTC, ISO 8601.
        source: where it comes from, as in "page" or "import mine.csv".
        segment: the segment that the place lies in, where the source says so; 0 is none.
    """

    id: int
    position_nm_xyz: XyzFloat
    location: int
    set: str
    label: str
    author: str
    time: str
    source: str
    segment: int = 0


@dataclasses.dataclass(frozen=True)
class Changes:
    """What changed among the labels after a revision.

    Attributes:
        labels: that came since and are there now, in the order in which they came.
        removed: ids of those that went since and are gone now.
        revision: up to which this tells; what comes later is found by asking after it.
        more: whether there is later news already, left out because this was enough.
    """

    labels: tuple[Label, ...]
    removed: tuple[int, ...]
    revision: int
    more: bool
