"""Views of a block of grey values: pure JAX, key first, one block at a time (use under vmap).

Symmetries are separate from grey-value changes, because a symmetry moves places about and has to
be undone on the grid of embeddings before two views are compared.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from embed.errors import ConfigError
from embed.geometry import Zyx, ZyxFloat


@dataclasses.dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the grey-value changes, in standard deviations of the normalised volume.

    The defaults are those that few-label probes of FIB-SEM volumes liked best; 0 switches a
    change off.

    Attributes:
        contrast: the gain is drawn from [1 - contrast, 1 + contrast].
        brightness: the offset is drawn from [-brightness, brightness].
        curve: largest bend of the tone curve; applied to half of the views.
        blur: share of views smoothed in each section with the binomial kernel 1-2-1.
        noise: largest standard deviation of white noise; applied to 7 of 10 views.
        section_jitter: standard deviation of an offset drawn for every section, for volumes cut
            into sections before imaging.
    """

    contrast: float = 0.35
    brightness: float = 0.5
    curve: float = 0.25
    blur: float = 0.4
    noise: float = 0.35
    section_jitter: float = 0.0

    def __post_init__(self) -> None:
        bad = {k: v for k, v in dataclasses.asdict(self).items() if v < 0}
        if bad or self.contrast >= 1 or self.blur > 1:
            raise ConfigError(f"strengths are >= 0, contrast < 1 and blur <= 1; got {self}")


_ORDERS = tuple(itertools.permutations(range(3)))


def symmetry_table(voxel_size_nm: ZyxFloat, *same: Zyx) -> Int[Array, "count 6"]:
    """The symmetries that a voxel grid allows: axis order, then which axes are flipped.

    48 where all edges agree within 10 %, 16 where two do, 8 (flips) otherwise.

    Args:
        voxel_size_nm: edge lengths of a voxel, ZYX.
        same: what else axes that change places must agree in, such as the strides of an encoder,
            each ZYX.
    """
    orders = [
        order
        for order in _ORDERS
        if all(
            1 / 1.1 < voxel_size_nm[a] / size < 1.1
            for a, size in zip(order, voxel_size_nm, strict=True)
        )
        and all(lengths[a] == n for lengths in same for a, n in zip(order, lengths, strict=True))
    ]
    flips = itertools.product((0, 1), repeat=3)
    return jnp.asarray([(*o, *f) for o, f in itertools.product(orders, flips)], jnp.int32)


_INVERSE = tuple(tuple(o.index(axis) for axis in range(3)) for o in _ORDERS)


def turn(block: Float[Array, "z y x *c"], symmetry: Int[Array, "6"]) -> Float[Array, "z y x *c"]:
    """Applies one row of a `symmetry_table`; axes that change places must have equal length."""
    order, flips = symmetry[:3], symmetry[3:]
    return _reorder(_flip(block, flips), order, _ORDERS)


def turn_back(
    block: Float[Array, "z y x *c"], symmetry: Int[Array, "6"]
) -> Float[Array, "z y x *c"]:
    """Undoes `turn`, on the block or on the grid of embeddings made from it."""
    order, flips = symmetry[:3], symmetry[3:]
    return _flip(_reorder(block, order, _INVERSE), flips)


def _flip(block: Array, flips: Array) -> Array:
    for axis in range(3):
        block = jnp.where(flips[axis] == 1, jnp.flip(block, axis), block)
    return block


def _reorder(block: Array, order: Array, targets: tuple[tuple[int, ...], ...]) -> Array:
    rest = tuple(range(3, block.ndim))
    allowed = [
        i
        for i, target in enumerate(targets)
        if tuple(block.shape[a] for a in target) == block.shape[:3]
    ]
    branches = [lambda b, t=targets[i]: jnp.transpose(b, (*t, *rest)) for i in allowed]
    codes = jnp.asarray([_ORDERS[i][0] * 9 + _ORDERS[i][1] * 3 + _ORDERS[i][2] for i in allowed])
    code = order[0] * 9 + order[1] * 3 + order[2]
    return jax.lax.switch(jnp.argmax(codes == code), branches, block)


def change_grey(
    key: Key[Array, ""], block: Float[Array, "z y x"], config: AugmentConfig
) -> Float[Array, "z y x"]:
    """One random change of grey values: tone curve, gain, offset, sections, blur, noise."""
    keys = iter(jax.random.split(key, 9))
    block = block + _maybe(next(keys), 0.5) * _bend(next(keys), block, config.curve)
    gain = 1 + config.contrast * _signed(next(keys))
    block = gain * block + config.brightness * _signed(next(keys))
    if config.section_jitter:
        block = block + config.section_jitter * jax.random.normal(
            next(keys), (block.shape[0], 1, 1)
        )
    if config.blur:
        block = jnp.where(_maybe(next(keys), config.blur) == 1, _smooth(block), block)
    if config.noise:
        strength = _maybe(next(keys), 0.7) * config.noise * jax.random.uniform(next(keys))
        block = block + strength * jax.random.normal(next(keys), block.shape)
    return block


def _signed(key: Array) -> Array:
    return jax.random.uniform(key, minval=-1.0, maxval=1.0)


def _maybe(key: Array, share: float) -> Array:
    return jax.random.bernoulli(key, share).astype(jnp.float32)


def _bend(key: Array, block: Array, strength: float) -> Array:
    """What a tone curve adds: nothing at -2 and 2 deviations, most in the middle."""
    return strength * _signed(key) * (1 - jnp.clip(block / 2, -1, 1) ** 2)


def _smooth(block: Array) -> Array:
    """1-2-1 along y and x, edges repeated. Not along z: sections are imaged one by one."""
    for axis in (1, 2):
        padded = jnp.pad(block, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        n = block.shape[axis]
        low, mid, high = (jax.lax.slice_in_dim(padded, s, s + n, axis=axis) for s in (0, 1, 2))
        block = (low + 2 * mid + high) / 4
    return block
