"""What the flags of `voxkin embed` ask for, laid out as an atlas."""

from pathlib import Path

from embed.atlas import Atlas
from embed.checkpoint import TrainedEncoder
from embed.errors import ConfigError, OutOfBoundsError
from embed.geometry import Box, Zyx
from embed.given_layout import create_given_atlas
from embed.grid_layout import create_atlas
from embed.layout import Wanted
from embed.volume import Volume, open_volume
from serve.verbs.arguments import box_text, parse_box, parse_steps, xyz_text
from serve.verbs.embed_arguments import HowFlags, WhatFlags
from serve.verbs.embed_points import given_points, parse_segments

_MB = 2**20


def lay_out(
    encoder: TrainedEncoder,
    source: Volume,
    path: Path,
    what: WhatFlags,
    how: HowFlags,
    *,
    run: str,
    any_voxel_size: bool,
) -> Atlas:
    """Lays out what is asked for, or opens what is there of it.

    Raises:
        ConfigError: flags do not go together, or one of them is malformed.
        VoxkinError: as `create_atlas` and `create_given_atlas`.
    """
    _require_sense(what)
    segments = parse_segments(what.segments)
    segmentation = open_volume(what.segmentation) if what.segmentation else None
    given = what.points is not None or what.per_segment is not None
    mask = open_volume(what.mask) if what.mask else None
    wanted = Wanted(
        stride=_stride(encoder, what.stride),
        box=_region(source, what.box),
        mask=None if given else mask or segmentation,
        segments=() if given else segments,
        backend=how.backend,
        precision=how.precision,
        memory=how.memory * _MB,
        any_voxel_size=any_voxel_size,
        store=how.store,
    )
    if not given:
        return create_atlas(encoder, source, path, wanted, run=run, extend=what.extend)
    points = given_points(encoder, source, what, segmentation, segments)
    masking = segmentation if encoder.masked else None
    return create_given_atlas(encoder, source, path, points, wanted, run=run, segmentation=masking)


def _require_sense(what: WhatFlags) -> None:
    """Refuses flags that would be passed over in silence."""
    given = what.points is not None or what.per_segment is not None
    grid_only = {"--stride": what.stride, "--box": what.box, "--mask": what.mask}
    misplaced = [flag for flag, value in grid_only.items() if given and value is not None]
    if misplaced or (given and what.extend):
        flags = ", ".join(misplaced or ["--extend"])
        raise ConfigError(f"{flags} is for a grid of locations, and given places are none")
    if what.mask and (what.segmentation or what.segments):
        raise ConfigError("say where to embed with --mask or with --segmentation, not with both")
    if what.segments and not what.segmentation and what.points is None:
        raise ConfigError("--segments are ids in a segmentation; say which with --segmentation")
    points_only = ("unit", "spacing", "relationship", "skip_outside")
    if what.points is None and any(getattr(what, name) for name in points_only):
        raise ConfigError(
            "--unit, --spacing, --relationship and --skip-outside are about --points, which is "
            "missing"
        )


def _stride(encoder: TrainedEncoder, text: str | None) -> Zyx | None:
    if text is None:
        return None
    step = parse_steps(text, "--stride")
    if any(a % b and b % a for a, b in zip(step, encoder.stride, strict=True)):
        own = xyz_text(encoder.stride)
        raise ConfigError(
            f"--stride is a multiple of the encoder's, {own} voxels, or divides it; got {text}"
        )
    return step


def _region(volume: Volume, text: str | None) -> Box | None:
    if text is None:
        return None
    box = parse_box(text, "--box")
    if not volume.box.contains(box):
        raise OutOfBoundsError(
            f"--box {text} leaves {volume.name}, whose voxels are {box_text(volume.box)}"
        )
    return box
