"""What an encoder's embedding reads beside what was learnt, decided once training has ended.

Training compares places with their neighbours, and what neighbours do not share is lost on the way
to the embedding: on which side of a membrane a place lies, how sharp it is right there. Classical
filters say just that. So what they answer in the middle of the field of view is laid beside what
was learnt, and the principal components of both make the embedding, which grows no longer by it.

Scaling to length 1 loses the length of the features, too: how much there is of what they show. A
constant laid beside them keeps it, since it becomes the smaller the longer they are. It takes the
place of the direction in which places differ least.

Last, how bright the middle of the field of view is at several scales is laid beside all that, as
angles: training teaches to overlook just that, and a linear probe can tell of an angle what is
bright, dark, or between the two. Where fields of view show one segment each, how bright and how
rough it is as a whole is read in the same way. Angles are laid beside an embedding of length 1, so
that they weigh the same at every place, and keep numbers of their own in it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from flax import nnx
from jaxtyping import Array, Float, PyTree

from embed.encoder import Encoder, EncoderConfig, network
from embed.segment_statistics import COUNT

Rows = Float[np.ndarray, "n wide"]

# Variance added to that of every response, so that one that never changes is not blown up.
_LEAST = 1e-6
# Radians to which a deviation of a tone is turned, and of what is told of a segment: less, since it
# weighs more and changes with the grey range.
_TONE, _SEGMENT = 1.5, 1.0


def with_filters(
    params: PyTree[Array],
    config: EncoderConfig,
    views: Sequence[Float[np.ndarray, "view crop z y x"]],
    scales: tuple[float, ...],
    weight: float,
) -> tuple[EncoderConfig, PyTree[Array]]:
    """An encoder of the same length that reads classical filters, too.

    What was learnt and what the filters answer, of zero mean and unit deviation over `views`, the
    latter times `weight`, are turned to their principal components, as many as the embedding has
    numbers, and those by a fixed rotation, after which no number holds more than another: a probe
    that standardises each would else blow up the last, which hold little.

    Args:
        params: of an encoder that reads no filters, whose features have zero mean and unit
            deviation (`embed.training.learner.calibrated`).
        config: of that encoder.
        views: blocks of voxels to take means, deviations and components from.
        scales: of the filters, see `EncoderConfig.filters`.
        weight: of the filters, above 0.

    Returns:
        Shape and parameters; the parameters given stay as they are.
    """
    wider = dataclasses.replace(config, filters=scales)
    learnt = _over(jax.jit(network(config, params).learnt), views)
    answers = _over(jax.jit(wider.bank.__call__), views)
    mean, scale = answers.mean(axis=0), weight / np.sqrt(answers.var(axis=0) + _LEAST)
    turned = _components(np.concatenate([learnt, (answers - mean) * scale], axis=1), config)
    kernel = scale[:, None] * turned[config.embedding_dim :]
    encoder = Encoder(wider, rngs=nnx.Rngs(0))
    # Copies: merging shares the parameters, and those of the training state must stay.
    nnx.update(encoder, jax.tree.map(jnp.array, params))
    head, own = encoder.head, turned[: config.embedding_dim]
    assert head.bias is not None
    assert encoder.filters is not None
    head.bias[...] = jnp.asarray(np.asarray(head.bias[...]) @ own - mean @ kernel, jnp.float32)
    head.kernel[...] = jnp.asarray(np.asarray(head.kernel[...]) @ own, jnp.float32)
    encoder.filters.kernel[...] = jnp.asarray(kernel, jnp.float32)
    return wider, nnx.state(encoder, nnx.Param)


def with_length(
    params: PyTree[Array],
    config: EncoderConfig,
    views: Sequence[Float[np.ndarray, "view crop z y x"]],
    share: float,
) -> PyTree[Array]:
    """Parameters of an encoder whose embeddings keep the length of its features.

    Args:
        params: of an encoder whose features have zero mean.
        config: of that encoder.
        views: blocks of voxels to take the length and the direction of least variance from.
        share: length of the constant by the mean length of the features; above 0.

    Returns:
        New parameters; those given stay as they are.
    """
    encoder = network(config, params)
    rows = _over(jax.jit(encoder.features), views)
    least = np.linalg.eigh(np.atleast_2d(np.cov(rows.T)))[1][:, 0]
    others = np.eye(len(least)) - np.outer(least, least)
    constant = share * np.linalg.norm(rows @ others, axis=1).mean() * least
    head, bias = encoder.head, encoder.head.bias
    assert bias is not None
    bias[...] = jnp.asarray(np.asarray(bias[...]) @ others + constant, jnp.float32)
    head.kernel[...] = jnp.asarray(np.asarray(head.kernel[...]) @ others, jnp.float32)
    if encoder.filters is not None:
        kernel = encoder.filters.kernel
        kernel[...] = jnp.asarray(np.asarray(kernel[...]) @ others, jnp.float32)
    return nnx.state(encoder, nnx.Param)


class Tones(NamedTuple):
    """Which means are read as angles.

    Attributes:
        scales: see `EncoderConfig.tones`.
        weight: what they add to a similarity, beside 1 of what there was; with 0 none are read.
    """

    scales: tuple[float, ...]
    weight: float


def with_angles(
    params: PyTree[Array],
    config: EncoderConfig,
    views: Sequence[Float[np.ndarray, "view crop z y x"]],
    tones: Tones,
    segment: float,
) -> tuple[EncoderConfig, PyTree[Array]]:
    """An encoder of the same length that reads some numbers as angles, too.

    What there was makes room for them: what is kept of it are the directions that hold most, by
    numbers that are as nearly as can be the first of those that there were.

    Args:
        params: of an encoder that reads none.
        config: of that encoder.
        views: blocks of voxels to take means and deviations of the numbers from, and what is kept.
        tones: which means to read, and their weight.
        segment: the same weight of brightness and roughness of the segment that is shown; with 0
            they are not read.

    Returns:
        Shape and parameters; the parameters given stay as they are. Both as they were where nothing
        is read. Of a short embedding angles take half at most: then the first tones alone are read.
    """
    room = config.embedding_dim // 4  # angles take no more than half of the numbers
    statistics = segment > 0 and room >= COUNT
    scales = tones.scales[: room - COUNT * statistics] if tones.weight else ()
    shares = [tones.weight / len(scales) for _ in scales] + [segment / COUNT] * COUNT * statistics
    if not shares:
        return config, params
    wider = dataclasses.replace(config, tones=scales, statistics=statistics)
    encoder = Encoder(wider, rngs=nnx.Rngs(0))
    nnx.update(encoder, jax.tree.map(jnp.array, params))
    angles = encoder.angles
    assert angles is not None
    numbers = _over(jax.jit(encoder.numbers), views)
    angles.shift[...] = jnp.asarray(numbers.mean(axis=0), jnp.float32)
    turns = np.array([_TONE] * len(scales) + [_SEGMENT] * COUNT * statistics)
    angles.scale[...] = jnp.asarray(turns / np.sqrt(numbers.var(axis=0) + _LEAST), jnp.float32)
    kept = _over(jax.jit(network(config, params).__call__), views)
    others = config.embedding_dim - 2 * len(shares)
    weights = np.diag(np.sqrt(np.tile(shares, 2)))
    kernel = scipy.linalg.block_diag(_thinned(np.linalg.eigh(kept.T @ kept)[1], others), weights)
    angles.turn.kernel[...] = jnp.asarray(kernel, jnp.float32)
    return wider, nnx.state(encoder, nnx.Param)


def _over(function: Callable[[Array], Array], views: Sequence[np.ndarray]) -> Rows:
    """One row per place of the views."""
    found = (np.asarray(function(jnp.asarray(v.reshape(-1, *v.shape[2:])))) for v in views)
    return np.concatenate([f.reshape(-1, f.shape[-1]) for f in found]).astype(np.float64)


def _components(rows: Rows, config: EncoderConfig) -> Float[np.ndarray, "wide dim"]:
    """The directions of the most variance, rotated among themselves."""
    centred = rows - rows.mean(axis=0)
    return _rotated(np.linalg.eigh(centred.T @ centred)[1], config.embedding_dim)


def _thinned(directions: Float[np.ndarray, "wide wide"], dim: int) -> Float[np.ndarray, "wide dim"]:
    """The last of some directions, turned among themselves to lie near the first axes."""
    kept = directions[:, -dim:]
    turn, _, back = np.linalg.svd(kept[:dim].T)  # of all turns the nearest (Procrustes)
    return kept @ (turn @ back)


def _rotated(directions: Float[np.ndarray, "wide wide"], dim: int) -> Float[np.ndarray, "wide dim"]:
    """The last of some directions, which are in the order of what they hold, turned."""
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(dim, dim)))
    return directions[:, -dim:] @ rotation
