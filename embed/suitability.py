"""Whether a volume and a stride suit an encoder, and what to do where they do not."""

from embed.checkpoint import TrainedEncoder
from embed.errors import ConfigError, MismatchError
from embed.geometry import Zyx
from embed.volume import Volume


def require_voxel_size(encoder: TrainedEncoder, volume: Volume) -> None:
    """Checks that a volume has about the voxel size that an encoder was made for.

    Raises:
        MismatchError: an edge differs by more than the tolerance of the encoder.
    """
    if not encoder.takes(volume.frame.voxel_size_nm):
        pairs = list(zip(volume.frame.voxel_size_nm, encoder.voxel_size_nm, strict=True))
        has, wants = ([f"{p[i]:g}" for p in reversed(pairs)] for i in (0, 1))
        raise MismatchError(
            f"{volume.name} has voxels of {' x '.join(has)} nm (XYZ) and the encoder is made for "
            f"{' x '.join(wants)} nm, up to a factor of {encoder.tolerance:.3g}: choose another "
            "level of the volume, train an encoder on it, or pass --any-voxel-size to embed it as "
            "it is"
        )


def require_unmasked(encoder: TrainedEncoder) -> None:
    """Checks that an encoder is one for whole fields of view.

    Raises:
        MismatchError: it was trained on fields of view masked to a segment.
    """
    if encoder.masked:
        raise MismatchError(
            "this encoder was trained on fields of view masked to one segment, and a dense run "
            "shows all of them whole: embed places in segments (--segmentation IDS with "
            "--per-segment 20, or with --points FILE), or use an encoder that was trained without "
            "--segmentation"
        )


def require_stride(encoder: TrainedEncoder, stride: Zyx) -> None:
    """Checks that on every axis a stride is a multiple of the encoder's, or divides it.

    Raises:
        ConfigError: it is not.
    """
    if any(a < 1 or (a % b and b % a) for a, b in zip(stride, encoder.stride, strict=True)):
        raise ConfigError(
            f"a stride is a multiple of the encoder's, {encoder.stride} voxels (ZYX), or divides "
            f"it; got {stride}"
        )
