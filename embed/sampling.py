"""Which blocks a training step sees: pairs of views, a small random shift apart.

Everything is a function of the seed and the step, so a run that is resumed sees what it would have
seen, and no state of the pipeline needs saving.
"""

import collections
import dataclasses
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from embed.encoder import EncoderConfig
from embed.errors import ConfigError, DataError
from embed.geometry import Box, Zyx, zyx
from embed.normaliser import Normaliser
from embed.volume import Volume

# Blocks with less spread than this (in deviations) are void; one in ten thousand of a real one is.
_FLAT = 0.05
_TRIES = 50
# Two steps ahead hide a chunk that decodes slowly; more would only hold memory.
_AHEAD = 2


class Batch(NamedTuple):
    """What a training step is given.

    Attributes:
        views: normalised grey values of the pairs of blocks.
        groups: crops with one number show the same structure and are no negatives of each other.
    """

    views: Float32[np.ndarray, "view crop z y x"]
    groups: Int32[np.ndarray, " crop"]


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """What is cut from the volumes in a step.

    Attributes:
        crops: pairs of blocks per step.
        places: locations per axis that a block gives, ZYX.
        shift_nm: the second block of a pair lies up to this far from the first along each axis:
            places so near show the same thing, and the encoder learns to say so.
        same_place: share of the pairs whose two blocks lie at one place, so that what neighbours
            do not share counts too.
        seed: of the places and of the augmentation.
    """

    crops: int = 8
    places: Zyx = (4, 4, 4)
    shift_nm: float = 120.0
    same_place: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.crops < 1 or min(self.places) < 1 or self.shift_nm < 0:
            raise ConfigError(f"crops and places are at least 1 and shift_nm at least 0: {self}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"a seed is a number from 0 to {2**32 - 1}; got {self.seed}")


@dataclasses.dataclass(frozen=True)
class TrainingVolume:
    """A volume, the part of it to train on, and its normaliser."""

    volume: Volume
    box: Box
    normaliser: Normaliser


class PairSampler:
    """Cuts the views of any step out of the volumes, which take equal turns."""

    def __init__(
        self, volumes: Sequence[TrainingVolume], encoder: EncoderConfig, config: SamplingConfig
    ):
        self._volumes = volumes
        self._config = config
        self._crop = encoder.voxels(config.places)
        for source in volumes:
            self._check_size(source, encoder)

    def batch(self, step: int) -> Batch:
        """The blocks of a step: normalised grey values, [2, crops, z, y, x].

        Raises:
            DataError: a chunk is corrupt or holds NaN, or fifty tries found no place with data.
        """
        crops = range(self._config.crops)
        pairs = [self._pair(step, crop) for crop in crops]
        return Batch(np.stack(pairs, axis=1), np.arange(len(crops), dtype=np.int32))

    def ahead(self, start: int, stop: int) -> Generator[Batch]:
        """The batches of steps `start` to `stop`, read in threads while others are computed on."""
        with ThreadPoolExecutor(_AHEAD, thread_name_prefix="voxkin-read") as pool:
            pending: collections.deque[Future[Batch]] = collections.deque()
            try:
                for step in range(start, stop):
                    pending.append(pool.submit(self.batch, step))
                    if len(pending) > _AHEAD:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def _pair(self, step: int, crop: int) -> Float32[np.ndarray, "2 z y x"]:
        source = self._volumes[(step * self._config.crops + crop) % len(self._volumes)]
        rng = np.random.default_rng([self._config.seed, step, crop])
        for _ in range(_TRIES):
            first, second = self._boxes(source, rng)
            both = Box(
                zyx(map(min, first.start, second.start)), zyx(map(max, first.stop, second.stop))
            )
            voxels = source.volume.read(both)
            try:
                grey = source.normaliser(voxels)
            except DataError as error:
                raise DataError(f"{source.volume.name}, voxels {both} (ZYX): {error}") from error
            back = zyx(-a for a in both.start)
            views = np.stack([grey[b.shifted(back).slices] for b in (first, second)])
            if views.std(axis=(1, 2, 3)).min() > _FLAT:
                return views
        raise DataError(
            f"{source.volume.name}: {_TRIES} random blocks of {self._crop} voxels (ZYX) had no "
            "contrast; is the volume mostly empty? Train on a box of it that holds tissue"
        )

    def _boxes(self, source: TrainingVolume, rng: np.random.Generator) -> tuple[Box, Box]:
        size = np.asarray(self._crop)
        room = np.asarray(source.box.shape) - size
        reach = self._config.shift_nm / np.asarray(source.volume.frame.voxel_size_nm)
        first = rng.integers(0, room, endpoint=True)
        low = np.maximum(first - reach.astype(int), 0)
        high = np.minimum(first + reach.astype(int), room)
        second = rng.integers(low, high, endpoint=True)
        if rng.random() < self._config.same_place:
            second = first
        a, b = (Box.of_shape(self._crop, zyx(s + source.box.start)) for s in (first, second))
        return a, b

    def _check_size(self, source: TrainingVolume, encoder: EncoderConfig) -> None:
        if any(n < c for n, c in zip(source.box.shape, self._crop, strict=True)):
            raise ConfigError(
                f"{source.volume.name} has {source.box.shape} voxels (ZYX) to train on, and blocks "
                f"of {self._config.places} places need {self._crop}: use fewer places (the field "
                f"of view of the encoder alone is {encoder.fov}), or an encoder that sees less"
            )
