"""Which blocks a training step sees: pairs of views, a small random shift apart.

In volumes with a segmentation the two views lie along one segment instead, see `segment_pairs`.

Everything is a function of the seed and the step, so a run that is resumed sees what it would have
seen, and no state of the pipeline needs saving.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, Shaped

from embed.encoder import EncoderConfig
from embed.errors import ConfigError, DataError
from embed.geometry import Box, Zyx, ZyxFloat, thin_axes, zyx
from embed.normaliser import Normaliser
from embed.training.segment_pairs import Pair, SegmentPairs, SegmentSampling
from embed.training.zoom import resampled
from embed.volume import Volume

# Blocks with less spread than this (in deviations) are void; one in ten thousand of a real one is.
_FLAT = 0.05
_TRIES = 50
_Each = Callable[[Callable[[int], None], Sequence[int]], Iterable[None]]


class Batch(NamedTuple):
    """What a training step is given.

    Attributes:
        views: normalised grey values of the pairs of blocks.
        groups: crops with one number show the same structure and are no negatives of each other.
        masks: what of the views is to be seen; elsewhere they are 0, once grey values were changed.
            None where all of it is.
    """

    views: Float32[np.ndarray, "view crop z y x"]
    groups: Int32[np.ndarray, " crop"]
    masks: Bool[np.ndarray, "view crop z y x"] | None = None

    @property
    def seen(self) -> Float32[np.ndarray, "view crop z y x"]:
        """The views as an encoder is given them, without any change of grey values."""
        return self.views if self.masks is None else self.views * self.masks


class _Crop(NamedTuple):
    """A pair of views, and what they were cut along; None for a volume without segmentation."""

    views: Float32[np.ndarray, "2 z y x"]
    along: tuple[int, Pair] | None = None
    masks: Bool[np.ndarray, "2 z y x"] | None = None


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """What is cut from the volumes in a step.

    Attributes:
        crops: pairs of blocks per step.
        places: locations per axis that a block gives, ZYX.
        shift_nm: the second block of a pair lies up to this far from the first along each axis:
            places so near show the same thing, and the encoder learns to say so.
        shift_sections: the same across thick sections: at most this many of them.
        zoom: blocks are cut up to this factor smaller or larger and resampled, along axes whose
            voxels are not thick, so that the encoder takes volumes of other voxel sizes too.
        segments: how pairs are drawn in volumes with a segmentation; `shift_nm` is not used there.
        seed: of the places and of the augmentation.
    """

    crops: int = 8
    places: Zyx = (4, 4, 4)
    shift_nm: float = 120.0
    shift_sections: float = 1.0
    zoom: float = 1.0
    segments: SegmentSampling = dataclasses.field(default_factory=SegmentSampling)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.crops < 1 or min(self.places) < 1 or min(self.shift_nm, self.shift_sections) < 0:
            raise ConfigError(
                f"crops and places are at least 1, shift_nm and shift_sections at least 0: {self}"
            )
        if not 1 <= self.zoom < 2:
            raise ConfigError(f"zoom is a factor from 1 to below 2; got {self.zoom}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"a seed is a number from 0 to {2**32 - 1}; got {self.seed}")


@dataclasses.dataclass(frozen=True)
class TrainingVolume:
    """A volume, the part of it to train on, its normaliser and its segmentation if it has one.

    Attributes:
        volume: the volume.
        box: voxels of it to train on.
        normaliser: of its grey values.
        segmentation: segment ids on the same grid.
        step: its voxels per voxel of the encoder, ZYX; other than 1 where it is resampled.
    """

    volume: Volume
    box: Box
    normaliser: Normaliser
    segmentation: Volume | None = None
    step: ZyxFloat = (1.0, 1.0, 1.0)


class PairSampler:
    """Cuts the views of any step out of the volumes, which take equal turns."""

    def __init__(
        self,
        volumes: Sequence[TrainingVolume],
        encoder: EncoderConfig,
        config: SamplingConfig,
        own: range | None = None,
    ):
        """Prepares to cut the `own` crops of each step; all of them if not given.

        Raises:
            ConfigError: a volume is too small, or its segmentation does not suit.
        """
        self._volumes = volumes
        self._config = config
        self._own = range(config.crops) if own is None else own
        self._crop = encoder.voxels(config.places)
        self._thin = np.isin(range(3), thin_axes(encoder.voxel_size_nm))
        for source in volumes:
            self._check_size(source, encoder)
        self._along = [self._segment_pairs(i, encoder.fov) for i in range(len(volumes))]
        self._masks = config.segments.mask > 0 and any(self._along)

    @property
    def masked(self) -> bool:
        """Whether an encoder trained on this is to be given masked fields of view."""
        return self._config.segments.masked and any(self._along)

    def batch(self, step: int, each: _Each = map) -> Batch:
        """The blocks of a step: views of the crops of this host, groups of all.

        Args:
            step: from 0.
            each: cuts the crops, one by one or side by side; those along segments follow one
                another.

        Raises:
            DataError: a chunk is corrupt or holds NaN, or fifty tries found no place with data.
        """
        if not any(self._along):
            views = np.empty((2, len(self._own), *self._crop), np.float32)

            def cut(place: int) -> None:
                views[:, place] = self._next(step, self._own[place], None).views

            for _ in each(cut, range(len(self._own))):
                pass
            return Batch(views, np.arange(self._config.crops, dtype=np.int32))
        # Each crop may follow the one before it, so a host that keeps some cuts all.
        crops: list[_Crop] = []
        for i in range(self._config.crops):
            crops.append(self._next(step, i, crops[-1].along if crops else None))
        kept = [crops[i] for i in self._own]
        return Batch(
            views=np.stack([crop.views for crop in kept], axis=1),
            groups=_groups(crops),
            masks=np.stack([_mask(crop) for crop in kept], axis=1) if self._masks else None,
        )

    def _next(self, step: int, crop: int, last: tuple[int, Pair] | None) -> _Crop:
        rng = np.random.default_rng([self._config.seed, step, crop])
        turn = (step * self._config.crops + crop) % len(self._volumes)
        # Negatives of one step that touch are worth more than the turn of a volume.
        follows = last is not None and rng.random() < self._config.segments.touching
        index, after = last if last is not None and follows else (turn, None)
        along = self._along[index]
        if along is None:
            return _Crop(self._shifted(self._volumes[index], rng))
        return self._of_segment(index, along, step, rng, after)

    def _of_segment(
        self,
        index: int,
        along: SegmentPairs,
        step: int,
        rng: np.random.Generator,
        after: Pair | None,
    ) -> _Crop:
        source = self._volumes[index]
        for _ in range(_TRIES):
            pair = along.draw(step, rng, after)
            near = pair.near
            cut = np.stack([near.voxels[near.window(node, self._crop)] for node in pair.nodes])
            views = _normalised(source, cut, near.box)
            if views.std(axis=(1, 2, 3)).min() > _FLAT:
                return _Crop(views, (index, pair), along.masks(pair, rng) if self._masks else None)
        raise DataError(self._flat(source))

    def _shifted(
        self, source: TrainingVolume, rng: np.random.Generator
    ) -> Float32[np.ndarray, "2 z y x"]:
        for _ in range(_TRIES):
            first, second = self._boxes(source, rng)
            both = Box(
                zyx(map(min, first.start, second.start)), zyx(map(max, first.stop, second.stop))
            )
            grey = _normalised(source, source.volume.read(both), both)
            back = zyx(-a for a in both.start)
            cut = (grey[b.shifted(back).slices] for b in (first, second))
            views = np.stack([resampled(block, self._crop) for block in cut])
            if views.std(axis=(1, 2, 3)).min() > _FLAT:
                return views
        raise DataError(self._flat(source))

    def _flat(self, source: TrainingVolume) -> str:
        return (
            f"{source.volume.name}: {_TRIES} random blocks of {self._crop} voxels (ZYX) had no "
            "contrast; is the volume mostly empty? Train on a box of it that holds tissue"
        )

    def _boxes(self, source: TrainingVolume, rng: np.random.Generator) -> tuple[Box, Box]:
        shape = self._cut(source, rng)
        room = np.asarray(source.box.shape, np.int64) - shape
        within = self._config.shift_nm / np.asarray(source.volume.frame.voxel_size_nm)
        sections = self._config.shift_sections * np.asarray(source.step)
        reach = np.where(self._thin, within, np.minimum(within, sections)).astype(np.int64)
        first = rng.integers(0, room, endpoint=True)
        low = np.maximum(first - reach, 0)
        high = np.minimum(first + reach, room)
        second = rng.integers(low, high, endpoint=True)
        a, b = (Box.of_shape(shape, zyx(s + source.box.start)) for s in (first, second))
        return a, b

    def _segment_pairs(self, index: int, fov: Zyx) -> SegmentPairs | None:
        source, places = self._volumes[index], self._config.places
        if source.segmentation is None:
            return None
        if places != (1, 1, 1):
            raise ConfigError(
                f"{source.volume.name} has a segmentation, and pairs along segments are of single "
                f"fields of view, not of blocks of {places} places (ZYX): use places of (1, 1, 1) "
                "and more crops, 128 for instance, or leave out the segmentation"
            )
        return SegmentPairs(
            source.volume,
            source.segmentation,
            source.box,
            fov,
            self._config.segments,
            (self._config.seed, index),
        )

    def _cut(self, source: TrainingVolume, rng: np.random.Generator) -> Zyx:
        """Voxels of the volume that become a block: fewer or more of them where it is zoomed."""
        zoom = self._config.zoom ** rng.uniform(-1, 1)
        factors = np.asarray(source.step) * np.where(self._thin, zoom, 1.0)
        wanted = np.maximum(np.rint(np.asarray(self._crop) * factors), 1).astype(int)
        return zyx(np.minimum(wanted, source.box.shape))

    def _check_size(self, source: TrainingVolume, encoder: EncoderConfig) -> None:
        needed = np.rint(np.asarray(self._crop) * source.step)
        if (np.asarray(source.box.shape) < needed).any():
            raise ConfigError(
                f"{source.volume.name} has {source.box.shape} voxels (ZYX) to train on, and blocks "
                f"of {self._config.places} places need {self._crop}: use fewer places (the field "
                f"of view of the encoder alone is {encoder.fov}), or an encoder that sees less"
            )


def _normalised(
    source: TrainingVolume, voxels: Shaped[np.ndarray, "*shape"], box: Box
) -> Float32[np.ndarray, "*shape"]:
    try:
        return source.normaliser(voxels)
    except DataError as error:
        raise DataError(f"{source.volume.name}, voxels {box} (ZYX): {error}") from error


def _groups(crops: Sequence[_Crop]) -> Int32[np.ndarray, " crop"]:
    """For each crop, the first one that shows the same segment of the same volume."""
    first: dict[tuple[int, int] | int, int] = {}
    keys = [i if c.along is None else (c.along[0], c.along[1].segment) for i, c in enumerate(crops)]
    return np.array([first.setdefault(key, i) for i, key in enumerate(keys)], np.int32)


def _mask(crop: _Crop) -> Bool[np.ndarray, "2 z y x"]:
    """Of a volume without segmentation everything is shown."""
    return np.ones(crop.views.shape, bool) if crop.masks is None else crop.masks
