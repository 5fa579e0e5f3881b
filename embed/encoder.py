"""The 3D encoder: one field of view in, one unit-length embedding out.

Only valid convolutions, and normalisation over channels alone: the embedding of a place depends on
its field of view and on nothing else, so the network run over a large block gives at every cell
what it would give on that cell's field of view by itself.
"""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PyTree

from embed.angles import AngleReading, along_last, unit
from embed.convolution import convolve
from embed.errors import ConfigError
from embed.filters import FilterBank
from embed.geometry import Zyx, ZyxFloat, zyx
from embed.segment_statistics import COUNT, SegmentStatistics


@dataclasses.dataclass(frozen=True)
class Stage:
    """A convolution and the pointwise residual blocks after it.

    Attributes:
        width: channels out; multiples of 16 fill the vector units.
        kernel: voxels or cells of the convolution, ZYX.
        stride: cells between its outputs, ZYX.
        blocks: pointwise residual blocks; they widen nothing, so they are cheap depth.
    """

    width: int
    kernel: Zyx
    stride: Zyx = (1, 1, 1)
    blocks: int = 0


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """Shape of an encoder.

    The default does its work at a quarter and an eighth of the resolution, where the matrices are
    large; it sees 33 voxels and steps 8.

    Attributes:
        voxel_size_nm: edge lengths of the voxels it is made for, ZYX.
        stages: from the voxels up.
        read: stages whose features make the embedding; earlier ones keep local detail.
        embedding_dim: length of the embedding.
        filters: scales of classical filters whose responses in the middle of the field of view the
            embedding reads beside the stages, as standard deviations in edges of the shortest voxel
            axis; they keep the local detail that neighbours do not share, see
            `embed.training.readout`.
        tones: scales, as of `filters`, of Gaussian means in the middle of the field of view that
            the embedding reads as angles beside all that: how bright it is right there.
        statistics: whether it also reads as angles how bright and how rough the segment is that a
            field of view shows; see `embed.segment_statistics`.
    """

    voxel_size_nm: ZyxFloat = (10.0, 10.0, 10.0)
    stages: tuple[Stage, ...] = (
        Stage(32, (5, 5, 5), (4, 4, 4)),
        Stage(128, (4, 4, 4), (2, 2, 2), blocks=1),
        Stage(192, (3, 3, 3), blocks=1),
    )
    read: tuple[int, ...] = (1, 2)
    embedding_dim: int = 64
    filters: tuple[float, ...] = ()
    tones: tuple[float, ...] = ()
    statistics: bool = False

    def __post_init__(self) -> None:
        last = len(self.stages) - 1
        sizes = all(0 < v < math.inf for v in self.voxel_size_nm)
        if last < 0 or self.embedding_dim < 1 or not sizes:
            raise ConfigError(f"an encoder needs a stage, a channel and voxel sizes > 0: {self}")
        for i, stage in enumerate(self.stages):
            if min(stage.width, *stage.kernel, *stage.stride) < 1 or stage.blocks < 0:
                raise ConfigError(f"stage {i}: width, kernel and stride are at least 1: {stage}")
        if last not in self.read or sorted({*self.read} & {*range(last + 1)}) != [*self.read]:
            raise ConfigError(
                f"read names stages 0 to {last} in rising order and ends with {last}; "
                f"got {self.read}"
            )
        if not all(0 < scale < math.inf for scale in (*self.filters, *self.tones)):
            raise ConfigError(
                f"scales of filters and tones are above 0; got {self.filters} and {self.tones}"
            )
        if 2 * self.angles >= self.embedding_dim:
            raise ConfigError(
                f"{self.angles} angles take {2 * self.angles} numbers of an embedding, which has "
                f"{self.embedding_dim}: read fewer tones, or make it longer"
            )

    @property
    def bank(self) -> FilterBank:
        """The filters that it reads."""
        return FilterBank(self.voxel_size_nm, self.fov, self.stride, self.filters)

    @property
    def tone_bank(self) -> FilterBank:
        """The filters whose means it reads."""
        return FilterBank(self.voxel_size_nm, self.fov, self.stride, self.tones)

    @property
    def segment(self) -> SegmentStatistics:
        """The statistics that it reads where it does."""
        return SegmentStatistics(self.voxel_size_nm, self.fov, self.stride)

    @property
    def angles(self) -> int:
        """How many numbers it reads as angles."""
        return len(self.tones) + (COUNT if self.statistics else 0)

    @property
    def plain(self) -> "EncoderConfig":
        """The same, reading its stages alone: the shape that is trained."""
        return dataclasses.replace(self, filters=(), tones=(), statistics=False)

    @property
    def fov(self) -> Zyx:
        """Voxels that one embedding sees, ZYX."""
        return self.reach(len(self.stages) - 1)[0]

    @property
    def stride(self) -> Zyx:
        """Voxels between the embeddings of a dense run, ZYX."""
        return self.reach(len(self.stages) - 1)[1]

    def reach(self, stage: int) -> tuple[Zyx, Zyx]:
        """Field of view and stride of the cells of a stage, in voxels, ZYX."""
        fov, step = [1, 1, 1], [1, 1, 1]
        for s in self.stages[: stage + 1]:
            fov = [f + (k - 1) * n for f, k, n in zip(fov, s.kernel, step, strict=True)]
            step = [n * m for n, m in zip(step, s.stride, strict=True)]
        return zyx(fov), zyx(step)

    def window(self, stage: int) -> tuple[Zyx, Zyx]:
        """The cells of a stage at the centre of the first embedding: first cell and count, ZYX.

        One cell where a cell lies at the centre, the two beside it where none does.
        """
        fov, step = self.reach(stage)
        # Whole, because all that later stages add to the field of view are steps of this one.
        spare = [(w - f) // s for w, f, s in zip(self.fov, fov, step, strict=True)]
        return zyx(n // 2 for n in spare), zyx(1 + n % 2 for n in spare)

    def cells(self, voxels: Zyx) -> Zyx:
        """Embeddings per axis that a block of voxels gives, ZYX."""
        pairs = zip(voxels, self.fov, self.stride, strict=True)
        return zyx((n - f) // s + 1 for n, f, s in pairs)

    def voxels(self, cells: Zyx) -> Zyx:
        """Voxels per axis that a block of embeddings needs, ZYX."""
        return zyx(f + (n - 1) * s for n, f, s in zip(cells, self.fov, self.stride, strict=True))


class Convolution(nnx.Module):
    """A valid convolution with a bias, then normalisation over channels and ReLU."""

    def __init__(self, channels: int, stage: Stage, *, normalise: bool, rngs: nnx.Rngs):
        fan_in = channels * math.prod(stage.kernel)
        shape = (*stage.kernel, channels, stage.width)
        init = jax.random.normal(rngs.params(), shape) * math.sqrt(2 / fan_in)
        self.kernel = nnx.Param(init)
        self.bias = nnx.Param(jnp.zeros(stage.width))
        # Not after the first stage: there it would take away brightness and contrast.
        self.norm = nnx.LayerNorm(stage.width, rngs=rngs) if normalise else None
        self.stride = stage.stride

    def __call__(self, x: Float[Array, "batch z y x channel"]) -> Array:
        y = convolve(x, self.kernel[...], self.stride) + along_last(self.bias[...], x)
        if self.norm is not None:
            y = self.norm(y)
        return nnx.relu(y).astype(x.dtype)


class PointwiseBlock(nnx.Module):
    """Two pointwise layers around a skip, normalised before."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.widen = nnx.Linear(width, width, rngs=rngs)
        self.narrow = nnx.Linear(width, width, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def __call__(self, x: Float[Array, "batch z y x width"]) -> Float[Array, "batch z y x width"]:
        return x + self.narrow(nnx.relu(self.widen(self.norm(x)))).astype(x.dtype)


class Encoder(nnx.Module):
    """The network of an `EncoderConfig`."""

    def __init__(self, config: EncoderConfig, *, rngs: nnx.Rngs):
        self.config = config
        stages = []
        channels = 1
        for i, stage in enumerate(config.stages):
            conv = Convolution(channels, stage, normalise=i > 0, rngs=rngs)
            blocks = [PointwiseBlock(stage.width, rngs=rngs) for _ in range(stage.blocks)]
            stages.append(nnx.List([conv, *blocks]))
            channels = stage.width
        self.stages = nnx.List(stages)
        features = sum(config.stages[i].width for i in config.read)
        self.norm = nnx.LayerNorm(features, rngs=rngs)
        self.head = nnx.Linear(features, config.embedding_dim, rngs=rngs)
        self.filters = _linear_without_bias(config, rngs) if config.filters else None
        self.angles = (
            AngleReading(config.embedding_dim, config.angles, rngs=rngs) if config.angles else None
        )

    def __call__(self, block: Float[Array, "batch z y x"]) -> Float[Array, "batch cz cy cx dim"]:
        """Embeds every field of view of a batch of blocks, `config.stride` voxels apart.

        Args:
            block: normalised grey values, at least one field of view; its type (float32 or
                bfloat16) is the type of the computation.

        Returns:
            float32, length 1 along the last axis, so that a dot product is a cosine similarity.
        """
        embedding = unit(self.features(block))
        return embedding if self.angles is None else self.angles(embedding, self.numbers(block))

    def features(self, block: Float[Array, "batch z y x"]) -> Float[Array, "batch cz cy cx dim"]:
        """What stages and filters say, before it is scaled to length 1; float32."""
        learnt = self.learnt(block)
        return learnt if self.filters is None else learnt + self.filters(self.config.bank(block))

    def numbers(self, block: Float[Array, "batch z y x"]) -> Float[Array, "batch cz cy cx count"]:
        """What is read as angles, tones before statistics; float32."""
        config = self.config
        found = [config.tone_bank.means(block)] if config.tones else []
        found += [config.segment(block)] if config.statistics else []
        return jnp.concatenate(found, axis=-1)

    def learnt(self, block: Float[Array, "batch z y x"]) -> Float[Array, "batch cz cy cx dim"]:
        """What the stages add to the features; float32."""
        cells = self.config.cells(zyx(block.shape[1:]))
        x = block[..., None]
        read = []
        for i, stage in enumerate(self.stages):
            for layer in stage:
                x = layer(x)
            if i in self.config.read:
                read.append(_at_centres(x, self.config, i, cells))
        return self.head(self.norm(jnp.concatenate(read, axis=-1))).astype(jnp.float32)


def network(config: EncoderConfig, params: PyTree[Array]) -> Encoder:
    """The network with a copy of some parameters, which may be changed in place."""
    graph, _ = nnx.split(nnx.eval_shape(lambda: Encoder(config, rngs=nnx.Rngs(0))), nnx.Param)
    return nnx.merge(graph, jax.tree.map(jnp.array, params))


def _linear_without_bias(config: EncoderConfig, rngs: nnx.Rngs) -> nnx.Linear:
    """From the responses of the filters to the features; the head has a bias."""
    return nnx.Linear(config.bank.count, config.embedding_dim, use_bias=False, rngs=rngs)


def _at_centres(x: Array, config: EncoderConfig, stage: int, cells: Zyx) -> Array:
    """The features of a stage in the middle of each field of view: a cell, or the mean of two."""
    (first, window), (_, step) = config.window(stage), config.reach(stage)
    every = [s // t for s, t in zip(config.stride, step, strict=True)]
    parts = [
        x[
            (
                slice(None),
                *(
                    slice(a + d, a + d + (n - 1) * e + 1, e)
                    for a, d, n, e in zip(first, offset, cells, every, strict=True)
                ),
            )
        ]
        for offset in itertools.product(*map(range, window))
    ]
    return sum(parts[1:], parts[0]) / len(parts)


def count_params(encoder: Encoder) -> int:
    """Number of trainable scalars."""
    return sum(p.size for p in jax.tree.leaves(nnx.state(encoder, nnx.Param)))
