"""Which level of a multiscale group to open, and what its voxels measure."""

import dataclasses
import math
from collections.abc import Sequence

from embed.errors import ConfigError, VolumeError
from embed.formats.description import SPATIAL, Description, Level
from embed.geometry import Frame, XyzFloat, ZyxFloat, zyx_float

TOLERANCE = 1.5
"""How far, as a ratio, a level may be from the wished voxel size on any axis. Levels are usually
factors of two apart, so the nearest is at most 1.41 away; beyond that the wish cannot be met."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """A level and the frame of its voxels."""

    index: int
    frame: Frame


def choose(
    description: Description,
    axes: Sequence[str],
    *,
    level: int | None,
    at_voxel_size_nm: ZyxFloat | None,
    stated_nm: ZyxFloat | None,
) -> Choice:
    """The level asked for: by index, by voxel size, or else the finest.

    Args:
        description: what the store says.
        axes: `z`, `y`, `x`, … for every dimension of the store.
        level: index, in the order of the store.
        at_voxel_size_nm: voxel size to come nearest to, ZYX.
        stated_nm: voxel size, ZYX, that the caller gives to the level `level` (the finest without
            one); it overrides the store's, and the other levels follow in proportion.

    Raises:
        VolumeError: no such level, none near enough, or no voxel size to go by.
    """
    name = repr(description.source.name)
    frames = [_frame(each, axes) for each in description.levels]
    if level is not None and not 0 <= level < len(frames):
        raise VolumeError(f"{name} has no level {level}; it has {_listed(frames)}")
    base = _finest(frames) if level is None else level
    if stated_nm is not None:
        frames = _restated(frames, base, stated_nm)
    index = base
    if level is None and at_voxel_size_nm is not None:
        index = _nearest(frames, at_voxel_size_nm)
    frame = frames[index]
    if frame is None:
        raise VolumeError(_sizeless(description, axes))
    if at_voxel_size_nm is not None and _distance(frame, at_voxel_size_nm) > math.log(TOLERANCE):
        raise VolumeError(
            f"{name} has no level within a factor of {TOLERANCE} of {xyz_text(at_voxel_size_nm)} "
            f"on every axis; it has {_listed(frames)}"
        )
    return Choice(index, frame)


def stated_zyx(voxel_size_nm: XyzFloat | None) -> ZyxFloat | None:
    """A voxel size as a caller states it, XYZ, turned to ZYX.

    Raises:
        ConfigError: it is not three positive lengths.
    """
    if voxel_size_nm is None:
        return None
    if not all(math.isfinite(length) and length > 0 for length in voxel_size_nm):
        raise ConfigError(
            f"a voxel size is three positive lengths X,Y,Z in nm; got {voxel_size_nm}"
        )
    return zyx_float(reversed(voxel_size_nm))


def xyz_text(size_nm: ZyxFloat) -> str:
    """A voxel size for a person to read.

    >>> xyz_text((40.0, 4.0, 4.0))
    '4 x 4 x 40 nm (XYZ)'
    """
    return " x ".join(f"{length:g}" for length in reversed(size_nm)) + " nm (XYZ)"


def _frame(level: Level, axes: Sequence[str]) -> Frame | None:
    """What the store says of a level's z, y and x; None where a length is missing."""
    if any(axis not in axes for axis in SPATIAL):
        return None
    dims = [axes.index(axis) for axis in SPATIAL]
    size = [level.voxel_size_nm[dim] for dim in dims]
    origin = [level.origin_nm[dim] or 0.0 for dim in dims]
    known = [length for length in size if length is not None and length > 0]
    return Frame(zyx_float(known), zyx_float(origin)) if len(known) == len(SPATIAL) else None


def _restated(frames: list[Frame | None], base: int, stated: ZyxFloat) -> list[Frame | None]:
    """The same frames with voxels of `base` measuring `stated`, whatever the store says."""
    said = frames[base]
    if said is None:
        return [Frame(stated) if i == base else None for i in range(len(frames))]
    ratio = [new / old for new, old in zip(stated, said.voxel_size_nm, strict=True)]

    def scaled(lengths: ZyxFloat) -> ZyxFloat:
        return zyx_float(length * r for length, r in zip(lengths, ratio, strict=True))

    return [f and Frame(scaled(f.voxel_size_nm), scaled(f.origin_nm)) for f in frames]


def _finest(frames: list[Frame | None]) -> int:
    """Index of the level of the smallest voxels; the first where no sizes are known."""
    volumes = [math.inf if f is None else math.prod(f.voxel_size_nm) for f in frames]
    return volumes.index(min(volumes))


def _nearest(frames: list[Frame | None], wished: ZyxFloat) -> int:
    distances = [math.inf if f is None else _distance(f, wished) for f in frames]
    return distances.index(min(distances))


def _distance(frame: Frame, wished: ZyxFloat) -> float:
    """Largest logarithm of a ratio of lengths over the axes."""
    return (
        max(abs(math.log(a / b)) for a, b in zip(frame.voxel_size_nm, wished, strict=True)) - 1e-9
    )  # so that exactly a factor of TOLERANCE passes


def _listed(frames: list[Frame | None]) -> str:
    """Every level with its voxel size."""
    return "; ".join(
        f"level {i} ({'voxel size unknown' if f is None else xyz_text(f.voxel_size_nm)})"
        for i, f in enumerate(frames)
    )


def _sizeless(description: Description, axes: Sequence[str]) -> str:
    """What is missing of the voxel size, why, and how to state it."""
    name, level = description.source.name, description.levels[0]
    why = "".join(f" ({note})" for note in description.notes)
    if "z" not in axes:
        return (
            f"{name!r} is a single section of shape {level.shape} without a z axis{why}; state a "
            "full voxel size (--voxel-size X,Y,Z in nm) to open it as a volume of one section"
        )
    sizes = dict(zip(axes, level.voxel_size_nm, strict=True))
    missing = ", ".join(axis for axis in "xyz" if not sizes[axis])
    return (
        f"{name!r} does not state the voxel size on {missing}{why}; state it with --voxel-size "
        "X,Y,Z in nm, or open the multiscale group if this is one level of it"
    )
