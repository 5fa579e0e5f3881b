"""Views of a block of grey values: pure JAX, key first, one block at a time (use under vmap).

Symmetries, which move places about, are in `embed.training.symmetry`; what is done to sections is
in `embed.training.artefacts`.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from embed.errors import ConfigError
from embed.training import artefacts
from embed.training.artefacts import Centres
from embed.training.noise import happens, seeds, signed, uniform, white


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the changes that make a view; 0 switches a change off, and it costs nothing.

    Grey values are in standard deviations of the normalised volume, whose mean is 0. The defaults
    are those that few-label probes of FIB-SEM volumes liked best. Sections are planes of axis z;
    what happens to single ones is off, because a block face that is imaged before it is milled has
    next to none of it: switch it on for volumes that were cut into sections before imaging.

    Attributes:
        contrast: the gain is drawn from [1 - contrast, 1 + contrast]; detectors differ in it.
        brightness: the offset is drawn from [-brightness, brightness]; detectors differ in it.
        curve: largest bend of the tone curve; applied to half of the views. Stains and detectors
            differ in it.
        blur: share of views smoothed in each section with the binomial kernel 1-2-1; focus drifts.
        noise: largest standard deviation of white noise; applied to 7 of 10 views.
        section_jitter: standard deviation of an offset drawn for every section, whose thickness
            and stain vary.
        section_contrast: the gain of every section is drawn from 1 - this to 1 + this; as above.
        shot_noise: largest standard deviation, at mean grey, of Poisson noise: its variance is
            proportional to the distance from black. Applied to 7 of 10 views; fast scans count few
            electrons.
        black: normalised value of a voxel that no electron reached, for Poisson noise and lost
            sections.
        missing: share of sections that are lost; half of these are filled with the mean, half are
            black.
        duplicated: share of sections replaced by a copy of a neighbour, as is done to lost ones.
        misaligned: share of views in which one section, or all from one on, are shifted along y
            and x; alignment fails at folds and cracks.
        misaligned_by: largest such shift along each axis in voxels; a fraction of the stride, or
            the places of two views no longer show the same.
        elastic: largest displacement along y and x by a smooth deformation, in voxels; cutting
            compresses sections, and what a place shows does not depend on it. A fifth is typical.
        elastic_spacing: voxels between the control points of the deformation; at least 4 times
            `elastic`, or it could fold.
        cut_out: share of views in which a box is replaced by its mean or by noise, so that no
            embedding rests on one detail alone.
        cut_out_edge: largest edge of that box as a share of the block's; small against a field of
            view.
        cut_out_keep: voxels kept around the centre of each field of view even inside the box.
    """

    contrast: float = 0.35
    brightness: float = 0.5
    curve: float = 0.25
    blur: float = 0.4
    noise: float = 0.35
    section_jitter: float = 0.0
    section_contrast: float = 0.0
    shot_noise: float = 0.0
    black: float = -3.0
    missing: float = 0.0
    duplicated: float = 0.0
    misaligned: float = 0.0
    misaligned_by: int = 4
    elastic: float = 0.0
    elastic_spacing: int = 16
    cut_out: float = 0.0
    cut_out_edge: float = 0.25
    cut_out_keep: int = 2

    def __post_init__(self) -> None:
        for name, (holds, rule) in _RULES.items():
            value = getattr(self, name)
            if not holds(value):
                raise ConfigError(f"augment.{name} is {rule}; got {value}")
        if not 4 * self.elastic <= self.elastic_spacing:
            raise ConfigError(
                f"augment.elastic is at most a quarter of elastic_spacing, or sections could fold; "
                f"got {self.elastic} and {self.elastic_spacing} voxels"
            )


# Under vmap a loop over blocks, which ends what the compiler may merge into one pass. On a CPU it
# would merge gathers and sums with what follows, and all changes together take three times as long.
one_by_one = jax.custom_batching.sequential_vmap

_STRENGTH = (lambda v: 0 <= v < math.inf, "a strength, at least 0")
_GAIN = (lambda v: 0 <= v < 1, "at least 0 and below 1, because a gain of 0 leaves nothing to see")
_SHARE = (lambda v: 0 <= v <= 1, "a share, from 0 (never) to 1 (always)")
_VOXELS = (lambda v: v >= 1, "a number of voxels, at least 1")
_RULES: dict[str, tuple[Callable[[float], bool], str]] = {
    "contrast": _GAIN,
    "brightness": _STRENGTH,
    "curve": _STRENGTH,
    "blur": _SHARE,
    "noise": _STRENGTH,
    "section_jitter": _STRENGTH,
    "section_contrast": _GAIN,
    "shot_noise": _STRENGTH,
    "black": (lambda v: -math.inf < v < 0, "below 0, the mean of normalised grey values"),
    "missing": _SHARE,
    "duplicated": _SHARE,
    "misaligned": _SHARE,
    "misaligned_by": _VOXELS,
    "elastic": _STRENGTH,
    "elastic_spacing": _VOXELS,
    "cut_out": _SHARE,
    "cut_out_edge": (lambda v: 0 < v <= 1, "a share of the edge of a block, above 0 and at most 1"),
    "cut_out_keep": (lambda v: v >= 0, "a number of voxels, at least 0"),
}

# Each has a seed of its own, so that switching one change on leaves the others as they are.
_DRAWS = (
    *("elastic", "misaligned", "curve", "gain", "offset", "jitter", "contrast", "blur"),
    *("noise", "noise_share", "shot", "shot_share", "grain", "duplicated", "missing", "cut_out"),
)
Seeds = dict[str, Array]


def change_grey(
    key: Key[Array, ""],
    block: Float[Array, "z y x"],
    config: AugmentConfig,
    centres: Centres | None = None,
) -> Float[Array, "z y x"]:
    """One random change of a block, in the order in which a sample meets its causes.

    Deformation and misalignment; tone curve, gain and offset, of the view and of each section;
    blur; noise; then sections copied or lost and a box cut out, which no noise covers.

    Args:
        key: of all that is drawn.
        block: normalised grey values.
        config: how strongly.
        centres: of the fields of view in the block, which `cut_out` keeps; by default its own.

    Raises:
        ConfigError: sections are too small for a displacement that the config allows.
    """
    seed = dict(zip(_DRAWS, seeds(key, len(_DRAWS)), strict=True))
    block = _moved(seed, block, config)
    block = _toned(seed, block, config)
    if config.blur:
        block = _smoothed(block, happens(seed["blur"], config.blur))
    block = _noisy(seed, block, config)
    return _damaged(seed, block, config, centres)


def _moved(seed: Seeds, block: Array, config: AugmentConfig) -> Array:
    if config.elastic:
        voxels, spacing = config.elastic, config.elastic_spacing
        deform = one_by_one(lambda s, b: artefacts.deform(s, b, voxels, spacing))
        block = deform(seed["elastic"], block)
    if config.misaligned:
        share, by = config.misaligned, config.misaligned_by
        misalign = one_by_one(lambda s, b: artefacts.misalign(s, b, share, by))
        block = misalign(seed["misaligned"], block)
    return block


def _damaged(seed: Seeds, block: Array, config: AugmentConfig, centres: Centres | None) -> Array:
    if config.duplicated:
        duplicate = one_by_one(lambda s, b: artefacts.duplicate(s, b, config.duplicated))
        block = duplicate(seed["duplicated"], block)
    if config.missing:
        block = artefacts.lose(seed["missing"], block, config.missing, config.black)
    if config.cut_out:
        edge, keep = config.cut_out_edge, config.cut_out_keep
        cut = one_by_one(lambda s, b: artefacts.cut_out(s, b, config.cut_out, edge, keep, centres))
        block = cut(seed["cut_out"], block)
    return block


def _toned(seed: Seeds, block: Array, config: AugmentConfig) -> Array:
    """Tone curve, gain and offset: elementwise, so the compiler makes one pass of it all."""
    sections = (block.shape[0], 1, 1)
    if config.curve:
        # Nothing at -2 and 2 deviations, most in the middle; for half of the views.
        share, bend = uniform(seed["curve"], (2,))
        bend = config.curve * (2 * bend - 1) * (share < 0.5)
        block = block + bend * (1 - jnp.clip(block / 2, -1, 1) ** 2)
    if config.contrast:
        block = (1 + config.contrast * signed(seed["gain"])) * block
    if config.section_contrast:
        block = (1 + config.section_contrast * signed(seed["contrast"], sections)) * block
    if config.brightness:
        block = block + config.brightness * signed(seed["offset"])
    if config.section_jitter:
        block = block + config.section_jitter * white(seed["jitter"], sections)
    return block


def _smoothed(block: Array, weight: Array) -> Array:
    """1-2-1 along y and x, edges repeated. Not along z: sections are imaged one by one."""
    wide = jnp.pad(block, ((0, 0), (1, 1), (1, 1)), mode="edge")
    tall = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    smooth = (tall[:, :, :-2] + 2 * tall[:, :, 1:-1] + tall[:, :, 2:]) / 16
    middle = wide[:, 1:-1, 1:-1]
    return middle + weight * (smooth - middle)


def _noisy(seed: Seeds, block: Array, config: AugmentConfig) -> Array:
    """White and Poisson noise: both nearly normal, so one draw of their joint variance is both."""
    variance: Array | None = None
    if config.noise:
        most = config.noise * happens(seed["noise_share"], 0.7)
        variance = (most * uniform(seed["noise"])) ** 2
    if config.shot_noise:
        most = config.shot_noise * happens(seed["shot_share"], 0.7)
        # 1 at mean grey, 0 at black.
        signal = jnp.maximum(1 - block / config.black, 0)
        shot = (most * uniform(seed["shot"])) ** 2 * signal
        variance = shot if variance is None else variance + shot
    if variance is None:
        return block
    return block + jnp.sqrt(variance) * white(seed["grain"], block.shape)
