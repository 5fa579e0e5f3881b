"""Pairs of places along segments, and pairs beside them in segments that touch.

Two views of one segment are alike, as in SegCLR (Dorkenwald et al. 2023, "Multi-layered maps of
neuropil with segmentation-guided contrastive learning", doi:10.1038/s41592-023-02059-8); what is
new is that the views of the segments that touch it are dealt into the same step.
"""

import dataclasses
import functools
import math
import threading

import numpy as np
from jaxtyping import Bool

from embed.errors import ConfigError, DataError
from embed.geometry import Box, Zyx, ZyxFloat, zyx
from embed.segments import Neighbourhood, Range, moved, of_centre, survey
from embed.volume import Volume

# Twice the reach would hold every partner of a node in the middle, at more than twice the memory.
_ROOM = 1.5
# Voxels of a neighbourhood: 300 MB of ids while it is surveyed, a third of that while it is kept.
_MOST = 2**25
_TRIES = 50


@dataclasses.dataclass(frozen=True)
class SegmentSampling:
    """How pairs are drawn in volumes that have a segmentation.

    Attributes:
        buckets_nm: ranges of the distance of the two places as the crow flies, `[from, to)`.
        weights: how often each of the buckets is drawn, in proportion.
        touching: share of the pairs that are followed by one of a segment that touches theirs and
            lies a bucket's distance away: the hardest negative there is.
        mask: share of the views that show only the segment in their middle, and 0, the mean of
            the volume, around it. From 0.5 on the encoder is taken to want masked input.
        mask_jitter: the edge of a mask is moved in or out by up to so many voxels, because
            segmentations are not right to the voxel.
        depth_nm: places lie at least this far below the surface of their segment.
        smallest_um3: segments that are smaller than this within a neighbourhood are not drawn.
        neighbourhoods: blocks of the volume that a step draws from.
        hold: steps for which each of them is kept, because to read and survey one takes a second.
    """

    buckets_nm: tuple[Range, ...] = ((0.0, 150.0), (150.0, 500.0), (500.0, 1500.0))
    weights: tuple[float, ...] = (1.0, 1.0, 1.0)
    touching: float = 0.5
    mask: float = 1.0
    mask_jitter: int = 1
    depth_nm: float = 30.0
    smallest_um3: float = 0.01
    neighbourhoods: int = 8
    hold: int = 200

    def __post_init__(self) -> None:
        if not self.buckets_nm or any(not 0 <= a < b < math.inf for a, b in self.buckets_nm):
            raise ConfigError(f"buckets_nm are ranges, 0 <= from < to, in nm; got {self}")
        if len(self.weights) != len(self.buckets_nm) or not 0 < sum(self.weights) < math.inf:
            raise ConfigError(f"each of the buckets_nm has a weight, not all of them 0; got {self}")
        if min(self.weights) < 0 or not (0 <= self.touching <= 1 and 0 <= self.mask <= 1):
            raise ConfigError(f"weights are >= 0, touching and mask shares of 1; got {self}")
        if min(self.mask_jitter, self.depth_nm, self.smallest_um3) < 0:
            raise ConfigError(f"mask_jitter, depth_nm and smallest_um3 are >= 0; got {self}")
        if min(self.neighbourhoods, self.hold) < 1:
            raise ConfigError(f"neighbourhoods and hold are at least 1; got {self}")

    @property
    def masked(self) -> bool:
        """Whether an encoder that is trained on such pairs is to be given masked fields of view."""
        return self.mask >= 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """Two places of one segment, as nodes of a neighbourhood."""

    near: Neighbourhood
    nodes: tuple[int, int]

    @property
    def segment(self) -> int:
        """The id of the segment."""
        return int(self.near.segments[self.near.owner[self.nodes[0]]])


class SegmentPairs:
    """Draws pairs in the neighbourhoods of one volume; safe to use from many threads."""

    def __init__(
        self,
        volume: Volume,
        segmentation: Volume,
        box: Box,
        fov: Zyx,
        config: SegmentSampling,
        seed: tuple[int, ...],
    ):
        """Looks into the first neighbourhood, so that what cannot be drawn from fails at once.

        Args:
            volume: the grey values.
            segmentation: integer ids on the same grid, 0 for none.
            box: no field of view leaves it.
            fov: voxels of a field of view, ZYX.
            config: how to draw.
            seed: of the places of the neighbourhoods.

        Raises:
            ConfigError: the buckets need larger neighbourhoods than there can be.
            DataError: no segment has a pair of places for each bucket, or a chunk is corrupt.
        """
        self._box, self._fov, self._config, self._seed = box, fov, config, seed
        self._names = volume.name, segmentation.name
        self._edge = _edge(config, fov, volume.frame.voxel_size_nm, box)
        self._shares = np.cumsum(config.weights)[:-1] / np.sum(config.weights)
        self._lock = threading.Lock()
        # Two threads read ahead, so old and new ones are in use together for a moment.
        count = config.neighbourhoods + 2
        # By place as well: where a box is no larger than a neighbourhood all of them are one.
        self._survey = functools.lru_cache(count)(
            functools.partial(
                survey,
                volume,
                segmentation,
                fov=fov,
                depth_nm=config.depth_nm,
                smallest_um3=config.smallest_um3,
            )
        )
        self._kept = functools.lru_cache(count)(self._find)
        self.near(0, 0)

    def near(self, step: int, slot: int) -> Neighbourhood:
        """One of the neighbourhoods of a step. They are replaced in turn, not all at once."""
        hold, slots = self._config.hold, self._config.neighbourhoods
        with self._lock:  # so that no neighbourhood is read twice
            return self._kept(slot, (step + slot * hold // slots) // hold)

    def draw(self, step: int, rng: np.random.Generator, after: Pair | None = None) -> Pair:
        """A pair of places; in a segment that touches that of `after`, if such is to be had.

        Raises:
            DataError: a chunk is corrupt, or no pair could be found.
        """
        apart = self._bucket(rng)
        for attempt in range(_TRIES):
            pair = self._pair(step, apart, rng, after)
            if pair is not None:
                return pair
            if attempt >= _TRIES // 2:  # a bucket that this part of the volume cannot fill
                apart, after = self._bucket(rng), None
        raise DataError(self._nothing())

    def masks(self, pair: Pair, rng: np.random.Generator) -> Bool[np.ndarray, "2 z y x"]:
        """What the two views show; everything where a view is not masked.

        Drawn for each view by itself: were it one decision for both, whether a view is masked
        would tell one pair from another, and nothing else would have to be learnt.
        """
        return np.stack([self._mask(pair.near, node, rng) for node in pair.nodes])

    def _mask(
        self, near: Neighbourhood, node: int, rng: np.random.Generator
    ) -> Bool[np.ndarray, "z y x"]:
        if rng.random() >= self._config.mask:
            return np.ones(self._fov, bool)
        most = self._config.mask_jitter
        by = int(rng.integers(-most, most, endpoint=True))
        return moved(of_centre(near.labels[near.window(node, self._fov)]), by)

    def _bucket(self, rng: np.random.Generator) -> Range:
        return self._config.buckets_nm[np.searchsorted(self._shares, rng.random(), "right")]

    def _pair(
        self, step: int, apart_nm: Range, rng: np.random.Generator, after: Pair | None
    ) -> Pair | None:
        near = node = None
        if after is not None:
            # As far from it as partners are, or distance would tell negatives from positives.
            near, reach = after.near, max(stop for _, stop in self._config.buckets_nm)
            for away in (self._bucket(rng), (0.0, reach)):
                node = near.beside(after.nodes[0], away, rng) if node is None else node
        if near is None or node is None:
            near = self.near(step, int(rng.integers(self._config.neighbourhoods)))
            node = near.anywhere(apart_nm[0], rng)
        other = None if node is None else near.along(node, apart_nm, rng)
        return None if node is None or other is None else Pair(near, (node, other))

    def _find(self, slot: int, generation: int) -> Neighbourhood:
        """The first of some random blocks whose segments are large enough for every bucket."""
        rng = np.random.default_rng([*self._seed, slot, generation])
        room = [n - edge for n, edge in zip(self._box.shape, self._edge, strict=True)]
        farthest = max(start for start, _ in self._config.buckets_nm)
        for _ in range(_TRIES):
            start = rng.integers(0, room, endpoint=True) + self._box.start
            near = self._survey(Box.of_shape(self._edge, zyx(start)))
            if near.extent_nm.max(initial=-1) >= farthest:
                return near
        raise DataError(self._nothing())

    def _nothing(self) -> str:
        volume, segmentation = self._names
        return (
            f"{segmentation}: {_TRIES} random blocks of {self._edge} voxels (ZYX) in the box to "
            f"train on of {volume} held no segment of {self._config.smallest_um3:g} µm³ with two "
            f"places for each of the buckets_nm {self._config.buckets_nm}; is it empty there, or "
            "are its segments small? Use nearer buckets, a smaller smallest_um3 or another box"
        )


def _edge(config: SegmentSampling, fov: Zyx, voxel_size_nm: ZyxFloat, box: Box) -> Zyx:
    """Voxels of a neighbourhood, ZYX: room for pairs of every bucket, as far as the box has it."""
    reach = max(stop for _, stop in config.buckets_nm)
    pairs = zip(fov, voxel_size_nm, box.shape, strict=True)
    edge = zyx(min(f + math.ceil(_ROOM * reach / v), n) for f, v, n in pairs)
    if math.prod(edge) > _MOST:
        raise ConfigError(
            f"pairs up to {reach:g} nm apart need blocks of {edge} voxels (ZYX) to be held, more "
            f"than {_MOST:,}: use nearer buckets_nm or a coarser level of the volume"
        )
    spans = ((n - f) * v for n, f, v in zip(edge, fov, voxel_size_nm, strict=True))
    far, span = max(start for start, _ in config.buckets_nm), math.hypot(*spans)
    if far > span:
        raise ConfigError(
            f"fields of view in a box of {box.shape} voxels (ZYX) lie at most {span:.0f} nm apart "
            f"and one of the buckets_nm begins at {far:g}: use nearer buckets or a larger box"
        )
    return edge
