"""The flags of `voxkin find`, by what they are about."""

import dataclasses
from typing import Annotated, Literal

import tyro

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.geometry import XyzFloat
from embed.regions import require_mask
from embed.volume import Volume, open_volume
from serve.queries import BoxNm, ClassFilter, Filters, LabelFilter, Query
from serve.verbs.arguments import Whole, Word, left_out, parse_position

Places = tyro.conf.UseAppendAction[
    Annotated[tuple[str, ...], tyro.conf.arg(metavar="X,Y,Z", help_behavior_hint="")]
]
Boxes = tyro.conf.UseAppendAction[
    Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="X0:X1,Y0:Y1,Z0:Z1", help_behavior_hint=""),
    ]
]
Masks = tyro.conf.UseAppendAction[
    Annotated[tuple[str, ...], tyro.conf.arg(metavar="VOLUME", help_behavior_hint="")]
]
Classes = tyro.conf.UseAppendAction[
    Annotated[tuple[str, ...], tyro.conf.arg(metavar="PROBE:CLASS[:P]", help_behavior_hint="")]
]
Labels = tyro.conf.UseAppendAction[
    Annotated[tuple[str, ...], tyro.conf.arg(metavar="SET:CLASS", help_behavior_hint="")]
]
Least = Annotated[float | None, left_out(float, "S"), tyro.conf.arg(help_behavior_hint="")]
_WHERE = "--where mito:mitochondrion:0.8"
_BOX = "1000:2000,500:900,0:600"


@dataclasses.dataclass(frozen=True)
class LikeFlags:
    """What to look for, beside --at or instead of it.

    Attributes:
        like: X,Y,Z in nm of one more place to be like; may be given several times.
        unlike: X,Y,Z in nm of a place to be unlike; may be given several times.
        mode: of several: like their average less half of that of --unlike; like the best of them
            less the best of --unlike; or on their side of a plane (linear).
        typical_weight: how much what is typical of the atlas is taken off what to be like: 0.5
            finds more of what is rare, such as synapses, and less of what most places show.
        probe: NAME of a probe of the atlas, or NAME:CLASS: the places where it is surest.
    """

    like: Places = ()
    unlike: Places = ()
    mode: Literal["average", "best", "linear"] = "average"
    typical_weight: float = 0.0
    probe: Word = None

    def query(self, at: str | None) -> Query:
        """What is asked for.

        Raises:
            ConfigError: nothing is, or a place is not one.
            RequestError: what is asked for does not go together.
        """
        likes = [parse_position(text, "--like") for text in self.like]
        if at is not None:
            likes.insert(0, parse_position(at, "--at"))
        if not likes and self.probe is None:
            raise ConfigError(
                "say what to look for: a place in nm with --at X,Y,Z, several with --like X,Y,Z, "
                "or --probe NAME"
            )
        name, _, chosen = (self.probe or "").partition(":")
        return Query(
            like_nm_xyz=tuple(likes),
            unlike_nm_xyz=tuple(parse_position(text, "--unlike") for text in self.unlike),
            mode=self.mode,
            typical_weight=self.typical_weight,
            probe=name,
            probe_class=chosen,
        )


@dataclasses.dataclass(frozen=True)
class WhichFlags:
    """Which places may be found.

    Attributes:
        box_nm: centres lie in this box in nm, stops excluded; may be given several times.
        segments: ids, separated by commas: places lie in one of them.
        not_segments: ids, separated by commas: they lie in none of these.
        mask: volume, of any voxel size, that is not 0 where centres lie; of a --server the name of
            one of its masks. May be given several times: in any of them.
        where: PROBE:CLASS or PROBE:CLASS:PROBABILITY: where the map of a probe (`voxkin probe
            apply`) says that class, at least so surely. May be given several times: any of them.
        labelled: SET:CLASS or SET: places that are labelled so in the atlas; may be given several
            times: in any of these ways.
        not_labelled: SET:CLASS or SET: places that are not labelled so, and --min-separation from
            what is; may be given several times: in none of these ways.
        per_segment: so many hits of one segment at most.
        at_least: the least similarity. Without -k every such place is told, as it is found.
        segmentation: volume of segment ids, for atlases whose places were not given with theirs.
    """

    box_nm: Boxes = ()
    segments: Word = None
    not_segments: Word = None
    mask: Masks = ()
    where: Classes = ()
    labelled: Labels = ()
    not_labelled: Labels = ()
    per_segment: Whole = None
    at_least: Least = None
    segmentation: Word = None

    def filters(self) -> Filters:
        """Which places may be found.

        Raises:
            ConfigError: a box or an id is not one.
            RequestError: a box is empty.
        """
        return Filters(
            boxes_nm=tuple(map(parse_box_nm, self.box_nm)),
            segments=_ids(self.segments, "--segments"),
            not_segments=_ids(self.not_segments, "--not-segments"),
            masks=frozenset(self.mask),
            classes=tuple(map(parse_class, self.where)),
            labels=tuple(map(parse_label, self.labelled)),
            not_labels=tuple(map(parse_label, self.not_labelled)),
        )

    def volumes(self, atlas: Atlas) -> tuple[Volume | None, dict[str, Volume]]:
        """The segmentation, if any, and the masks by what they are called here.

        Args:
            atlas: of whose volume they are.

        Raises:
            VolumeError: one cannot be opened.
            MismatchError: a mask holds no whole numbers, or lies elsewhere.
        """
        segmentation = None if self.segmentation is None else open_volume(self.segmentation)
        masks = {name: open_volume(name) for name in self.mask}
        for mask in masks.values():
            require_mask(atlas.volume, mask)
        return segmentation, masks


def parse_box_nm(text: str, flag: str = "--box-nm") -> BoxNm:
    """A box in nm, as in `--box-nm 1000:2000,500:900,0:600`: X, Y and Z, stops excluded.

    Raises:
        ConfigError: it is not three ranges of numbers.
    """
    try:
        x, y, z = (tuple(float(n) for n in part.split(":")) for part in text.split(","))
        (x0, x1), (y0, y1), (z0, z1) = x, y, z
    except ValueError:
        raise ConfigError(
            f"{flag} takes X, Y and Z ranges in nm, stops excluded, as in {_BOX}; got {text!r}"
        ) from None
    low: XyzFloat = (x0, y0, z0)
    return low, (x1, y1, z1)


def parse_class(text: str) -> ClassFilter:
    """A class of the map of a probe, as in `--where mito:mitochondrion:0.8`.

    Raises:
        ConfigError: it names no probe.
        RequestError: the probability is out of its range.
    """
    name, _, rest = text.partition(":")
    if not name:
        raise ConfigError(
            "--where takes a probe, its class and maybe a probability, as in "
            f"{_WHERE}; got {text!r}"
        )
    chosen, _, last = rest.rpartition(":")
    try:
        least = float(last)
    except ValueError:  # it is of the name, which may hold colons
        return ClassFilter(name, rest)
    return ClassFilter(name, chosen, least)


def parse_label(text: str) -> LabelFilter:
    """A class set, and maybe a class of it, as in `--labelled structures:synapse`."""
    name, _, label = text.partition(":")
    return LabelFilter(name, label)


def _ids(text: str | None, flag: str) -> frozenset[int]:
    try:
        return frozenset(int(word) for word in text.split(",")) if text is not None else frozenset()
    except ValueError:
        raise ConfigError(
            f"{flag} takes ids of segments, separated by commas, as in {flag} 12,77; got {text!r}"
        ) from None
