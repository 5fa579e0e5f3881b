"""Opens the volumes that a run is configured for, checked and normalised."""

import functools

from embed.config import RunConfig, VolumeConfig
from embed.encoder import EncoderConfig
from embed.errors import MismatchError, OutOfBoundsError
from embed.geometry import Box
from embed.normaliser import measure
from embed.samples import locate
from embed.sampling import TrainingVolume
from embed.volume import Volume, open_volume


def open_training_volumes(config: RunConfig) -> list[TrainingVolume]:
    """What `config.volumes` names.

    Raises:
        VolumeError: one cannot be opened.
        MismatchError: one has another voxel size than the encoder is made for.
        OutOfBoundsError: a box leaves its volume.
        DataError: one is constant or holds NaN.
    """
    return [_open(volume, config.encoder) for volume in config.volumes]


def _open(config: VolumeConfig, encoder: EncoderConfig) -> TrainingVolume:
    opened = functools.partial(
        open_volume,
        locate(config.source),
        voxel_size_nm=config.voxel_size_nm,
        axes=config.axes,
    )
    volume = opened()
    if len(volume.description.levels) > 1:
        volume = opened(at_voxel_size_nm=encoder.voxel_size_nm)
    _require_voxel_size(volume, encoder)
    return TrainingVolume(volume, _box(volume, config), measure(volume))


def _box(volume: Volume, config: VolumeConfig) -> Box:
    if config.box is None:
        return volume.box
    (x0, x1), (y0, y1), (z0, z1) = config.box
    box = Box((z0, y0, x0), (z1, y1, x1))
    if not volume.box.contains(box):
        raise OutOfBoundsError(
            f"the box to train on, {box}, leaves {volume.name}, which is {volume.box} (voxels, ZYX)"
        )
    return box


def _require_voxel_size(volume: Volume, encoder: EncoderConfig) -> None:
    has, wants = volume.frame.voxel_size_nm, encoder.voxel_size_nm
    if any(not 1 / 1.15 < a / b < 1.15 for a, b in zip(has, wants, strict=True)):
        x, y, z = (f"{v:g}" for v in reversed(has))
        raise MismatchError(
            f"{volume.name} has voxels of {x} x {y} x {z} nm (XYZ) and the encoder is made for "
            f"{' x '.join(f'{v:g}' for v in reversed(wants))} nm: use a preset for such volumes, "
            f"or change it with --encoder.voxel-size-nm {z} {y} {x} (ZYX)"
        )
