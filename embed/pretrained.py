"""The encoders that come with voxkin, which stand for themselves under the name `pretrained`."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

from embed.checkpoint import TrainedEncoder, load_encoder
from embed.config import RunConfig
from embed.errors import MismatchError, NotFoundError, VolumeError
from embed.geometry import ZyxFloat, thin_axes, zyx

NAME = "pretrained"
# The presets that an encoder is adapted by: to a volume, and along the segments of one.
ADAPT, ALONG_SEGMENTS = "adapt", "segments"
FOLDER = Path(__file__).parent / "encoders"
# Scales of filters and tones where voxels are small in the plane.
_OF_SECTIONS = (2.0, 4.0, 8.0, 16.0)


# The voxel size (ZYX, nm) of the level of a volume that is nearest to a wanted one.
SizeNear = Callable[[ZyxFloat], ZyxFloat]


def find_encoder(named: Path, size_near: SizeNear) -> TrainedEncoder:
    """The encoder of a run, an atlas or a file; or, for `pretrained`, the one that suits.

    Args:
        named: a path, or `pretrained`.
        size_near: of the volume to be embedded.

    Raises:
        NotFoundError: there is no such encoder.
        MismatchError: no pretrained one is made for such voxels; those there are, are named.
    """
    if str(named) != NAME or named.exists():
        return load_encoder(named)
    return choose(size_near)


def choose(size_near: SizeNear) -> TrainedEncoder:
    """The pretrained encoder made for voxels most like those of a level of a volume.

    Raises:
        NotFoundError: this installation has none.
        MismatchError: none takes voxels of this size.
    """
    encoders = {file.stem: load_encoder(file) for file in sorted(FOLDER.glob("*.npz"))}
    if not encoders:
        raise NotFoundError(f"there are no pretrained encoders in {FOLDER}; install voxkin again")
    suiting: dict[float, TrainedEncoder] = {}
    refusal = "its voxels are of another size"
    for encoder in encoders.values():
        try:
            size = size_near(encoder.voxel_size_nm)
        except VolumeError as error:  # no level is anywhere near, or sizes are not stated
            refusal = str(error)
            continue
        if encoder.takes(size):
            suiting[_distance(encoder.voxel_size_nm, size)] = encoder
    if suiting:
        return suiting[min(suiting)]
    made_for = "; ".join(
        f"{name} is made for {_text(encoder.voxel_size_nm)} nm, up to a factor of "
        f"{encoder.tolerance:.3g} on each axis"
        for name, encoder in encoders.items()
    )
    raise MismatchError(
        f"no pretrained encoder takes this volume: {refusal}. {made_for} (XYZ). Or train one: "
        "voxkin train fibsem --volume VOLUME --out RUN"
    )


def like_encoder(preset: RunConfig, encoder: TrainedEncoder) -> RunConfig:
    """The settings of a preset for an encoder that is there already.

    It goes on reading the filters that it reads. Where its voxels are thick along an axis, blocks
    have few places along it, unless the preset has one in each, and filters, if it reads none, suit
    voxels so small in the plane.
    """
    thin = thin_axes(encoder.voxel_size_nm)
    shape, scales = encoder.config.plain, encoder.config.filters
    if len(thin) == 3:
        if scales:
            train = dataclasses.replace(preset.train, filter_scales=scales, read_filters=1.0)
            preset = dataclasses.replace(preset, train=train)
        return dataclasses.replace(preset, encoder=shape)
    one = preset.sampling.places == (1, 1, 1)
    places = zyx(1 if one else 5 if axis in thin else 3 for axis in range(3))
    return dataclasses.replace(
        preset,
        encoder=shape,
        sampling=dataclasses.replace(preset.sampling, places=places, shift_nm=100.0),
        augment=dataclasses.replace(preset.augment, section_jitter=0.2),
        train=dataclasses.replace(
            preset.train,
            filter_scales=scales or _OF_SECTIONS,
            read_filters=1.5,
            tones=encoder.config.tones or _OF_SECTIONS,
        ),
    )


def _distance(a: ZyxFloat, b: ZyxFloat) -> float:
    """Of two voxel sizes: the largest log ratio of their edges."""
    return max(abs(math.log(p / q)) for p, q in zip(a, b, strict=True))


def _text(size: ZyxFloat) -> str:
    return " x ".join(f"{v:g}" for v in reversed(size))
