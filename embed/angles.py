"""Numbers as angles, laid beside what an embedding says."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class AngleReading(nnx.Module):
    """Lays some numbers beside what an embedding says.

    A number becomes an angle: that two are alike is then the cosine of their difference, which
    embeddings can be compared by, and none is longer for being brighter.
    """

    def __init__(self, dim: int, count: int, *, rngs: nnx.Rngs):
        self.shift = nnx.Param(jnp.zeros(count))
        self.scale = nnx.Param(jnp.ones(count))
        self.turn = nnx.Linear(dim + 2 * count, dim, use_bias=False, rngs=rngs)

    def __call__(self, embedding: Float[Array, "*n dim"], numbers: Array) -> Array:
        return unit(self.turn(self.beside(embedding, numbers)))

    def beside(self, embedding: Float[Array, "*n dim"], numbers: Array) -> Array:
        """Both, before they are turned to the length of an embedding."""
        shift, scale = (along_last(p[...], numbers) for p in (self.shift, self.scale))
        angles = (numbers - shift) * scale
        return jnp.concatenate([embedding, jnp.cos(angles), jnp.sin(angles)], axis=-1)


def unit(x: Float[Array, "*n dim"]) -> Float[Array, "*n dim"]:
    """Vectors scaled to length 1; a zero vector stays zero."""
    # The bound is under the root, because the gradient of a norm is NaN at zero.
    return x / jnp.sqrt(jnp.maximum(jnp.sum(x**2, axis=-1, keepdims=True), 1e-12))


def along_last(values: Array, like: Array) -> Array:
    """Values over the last axis, in the type and rank of `like`."""
    return values.astype(like.dtype).reshape((1,) * (like.ndim - 1) + (-1,))
