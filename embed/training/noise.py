"""Random numbers for images: a hash of a counter.

The generator of `jax.random` passes every statistical test, at a hundred operations per number. One
number per voxel would then cost more than all else that is done to a view, and an image cannot tell
it from a hash of a dozen operations. The way is that of Jarzynski and Olano, "Hash functions for
GPU rendering", JCGT 9(3), 2020; the multipliers come from Wellons' search for integer hashes of
least bias ("triple32", https://nullprogram.com/blog/2018/07/31/).
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt32

# Four bytes, each uniform over 0 to 255: their sum has this mean and this deviation.
_BYTES_MEAN = 4 * 255 / 2
_BYTES_DEVIATION = math.sqrt(4 * (256**2 - 1) / 12)


def seeds(key: Key[Array, ""], count: int) -> UInt32[Array, "count 2"]:
    """Independent seeds for the functions below."""
    # What makes up the keys is as random as what they would give, and compiles twice as fast.
    return jax.random.key_data(jax.random.split(key, count))[:, :2]


def words(seed: UInt32[Array, "2"], shape: tuple[int, ...]) -> UInt32[Array, "*shape"]:
    """Random bits, 32 per element; up to 2**32 elements differ."""
    # The second half of the seed enters after a round, so that the numbers of two seeds are not
    # the same sequence some steps apart; two rounds more spread it.
    x = jax.lax.iota(jnp.uint32, math.prod(shape)) + seed[0]
    x = (x ^ (x >> 17)) * jnp.uint32(0xED5AD4BB) ^ seed[1]
    x = (x ^ (x >> 11)) * jnp.uint32(0xAC4C1B51)
    x = (x ^ (x >> 15)) * jnp.uint32(0x31848BAB)
    return (x ^ (x >> 14)).reshape(shape)


def uniform(seed: UInt32[Array, "2"], shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
    """Numbers in [0, 1), multiples of 2**-24."""
    return (words(seed, shape) >> 8).astype(jnp.float32) * 2.0**-24


def signed(seed: UInt32[Array, "2"], shape: tuple[int, ...] = ()) -> Float[Array, "*shape"]:
    """Numbers in [-1, 1), multiples of 2**-23."""
    return 2 * uniform(seed, shape) - 1


def happens(
    seed: UInt32[Array, "2"], share: float, shape: tuple[int, ...] = ()
) -> Float[Array, "*shape"]:
    """1 with a probability of `share`, else 0."""
    return (uniform(seed, shape) < share).astype(jnp.float32)


def white(seed: UInt32[Array, "2"], shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """Nearly normal numbers of zero mean and unit deviation: the sum of four random bytes.

    Mean and deviation are exact; the excess kurtosis is -0.3 and nothing lies farther out than
    3.45 deviations (Irwin-Hall distribution with n = 4).
    """
    word = words(seed, shape)
    pairs = (word & 0x00FF00FF) + ((word >> 8) & 0x00FF00FF)  # two sums of two, side by side
    total = (pairs + (pairs >> 16)) & 0xFFFF
    # By way of signed integers: vector units convert those faster.
    return (total.astype(jnp.int32).astype(jnp.float32) - _BYTES_MEAN) / _BYTES_DEVIATION
