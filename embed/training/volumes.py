"""Opens the volumes that a run is configured for, checked and normalised."""

import functools

from embed.config import RunConfig, VolumeConfig
from embed.encoder import EncoderConfig
from embed.errors import MismatchError, OutOfBoundsError, VolumeError
from embed.geometry import Box, ZyxFloat, thin_axes, zyx_float
from embed.normaliser import measure
from embed.samples import locate
from embed.training.sampling import TrainingVolume
from embed.volume import Volume, open_volume


def open_training_volumes(config: RunConfig) -> list[TrainingVolume]:
    """What `config.volumes` names.

    Raises:
        VolumeError: one cannot be opened, or a segmentation does not hold integers.
        MismatchError: one has another voxel size than the encoder is made for, or a segmentation
            that is not on its grid.
        OutOfBoundsError: a box leaves its volume.
        DataError: one is constant or holds NaN.
    """
    return [_open(volume, config.encoder) for volume in config.volumes]


def _open(config: VolumeConfig, encoder: EncoderConfig) -> TrainingVolume:
    volume = _opened(config.source, config, encoder.voxel_size_nm)
    step = (1.0, 1.0, 1.0)
    if config.resample:
        step = _step(volume.frame.voxel_size_nm, encoder.voxel_size_nm)
    else:
        _require_voxel_size(volume, encoder)
    box = _box(volume, config)
    segmentation = _segmentation(config, volume, box)
    return TrainingVolume(volume, box, measure(volume), segmentation, step)


def _step(has: ZyxFloat, wants: ZyxFloat) -> ZyxFloat:
    """Voxels of a volume per voxel of the encoder, ZYX.

    Sections about as thick as the encoder's are left alone: a mixture of two sections shows
    neither.
    """
    factors = [b / a for a, b in zip(has, wants, strict=True)]
    thin = thin_axes(wants)
    return zyx_float(
        1.0 if a not in thin and 1 / 1.5 < f < 1.5 else f for a, f in enumerate(factors)
    )


def open_nearest(config: VolumeConfig, voxel_size_nm: ZyxFloat) -> Volume:
    """The level of a volume that is nearest to a voxel size, ZYX; errors as of `open_volume`."""
    return _opened(config.source, config, voxel_size_nm)


def _opened(source: str, config: VolumeConfig, voxel_size_nm: ZyxFloat) -> Volume:
    """The level nearest to a voxel size (ZYX), where there is more than one."""
    opened = functools.partial(
        open_volume,
        locate(source),
        voxel_size_nm=config.voxel_size_nm,
        axes=config.axes,
    )
    volume = opened()
    if len(volume.description.levels) > 1:
        volume = opened(at_voxel_size_nm=voxel_size_nm)
    return volume


def _segmentation(config: VolumeConfig, volume: Volume, box: Box) -> Volume | None:
    if config.segmentation is None:
        return None
    found = _opened(config.segmentation, config, volume.frame.voxel_size_nm)
    if found.dtype.kind not in "iu":
        raise VolumeError(
            f"{found.name} holds {found.dtype}; a segmentation holds integers, the segment that "
            "each voxel belongs to, and 0 for none"
        )
    if not found.frame.agrees(volume.frame):
        raise MismatchError(
            f"the segmentation {found.name} has {_grid_text(found)}, and {volume.name} has "
            f"{_grid_text(volume)}: a segmentation lies on the grid of its volume, voxel on voxel"
        )
    if not found.box.contains(box):
        raise OutOfBoundsError(
            f"the box to train on, {box}, leaves the segmentation {found.name}, which is "
            f"{found.box} (voxels, ZYX): name a box of {volume.name} that is segmented"
        )
    return found


def _grid_text(volume: Volume) -> str:
    size, origin = (
        ", ".join(f"{v:g}" for v in reversed(values))
        for values in (volume.frame.voxel_size_nm, volume.frame.origin_nm)
    )
    return f"voxels of ({size}) nm from ({origin}) nm (XYZ)"


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
            f"change it with --encoder.voxel-size-nm {z} {y} {x} (ZYX), or have it resampled "
            "(resample=True in a preset)"
        )
