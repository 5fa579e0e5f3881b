"""What an encoder's embedding reads beside what was learnt, decided once training has ended.

Training compares places with their neighbours, and what neighbours do not share is lost on the way
to the embedding: on which side of a membrane a place lies, how sharp it is right there. Classical
filters say just that. So what they answer in the middle of the field of view is laid beside what
was learnt, and the principal components of both make the embedding, which grows no longer by it.

Scaling to length 1 loses the length of the features, too: how much there is of what they show. A
constant laid beside them keeps it, since it becomes the smaller the longer they are. It takes the
place of the direction in which places differ least.

Where fields of view show one segment each, how bright and how rough it is as a whole is laid beside
all that, since training teaches to overlook just that. It comes last, beside an embedding of length
1, so that it weighs the same at every place.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree

from embed.encoder import Encoder, EncoderConfig, network
from embed.segment_statistics import COUNT

Rows = Float[np.ndarray, "n wide"]

# Variance added to that of every response, so that one that never changes is not blown up.
_LEAST = 1e-6


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


def with_segment(
    params: PyTree[Array],
    config: EncoderConfig,
    views: Sequence[Float[np.ndarray, "view crop z y x"]],
    weight: float,
) -> tuple[EncoderConfig, PyTree[Array]]:
    """An encoder of the same length that reads how bright and how rough a segment is, too.

    Of both together as much is kept as there is room for in as many numbers, by what it adds to
    similarities.

    Args:
        params: of an encoder that does not read it.
        config: of that encoder.
        views: blocks of voxels that show one segment each, to take means, deviations and what is
            kept from.
        weight: of what the segment adds to a similarity, beside 1 of what there was; above 0.

    Returns:
        Shape and parameters; the parameters given stay as they are.
    """
    wider = dataclasses.replace(config, statistics=True)
    statistics = _over(jax.jit(wider.segment.__call__), views)
    encoder = Encoder(wider, rngs=nnx.Rngs(0))
    nnx.update(encoder, jax.tree.map(jnp.array, params))
    segment = encoder.segment
    assert segment is not None
    segment.shift[...] = jnp.asarray(statistics.mean(axis=0), jnp.float32)
    segment.scale[...] = jnp.asarray(1 / np.sqrt(statistics.var(axis=0) + _LEAST), jnp.float32)
    embedded = _over(jax.jit(network(config, params).__call__), views)
    weights = np.ones(config.embedding_dim + 2 * COUNT)
    weights[config.embedding_dim :] = np.sqrt(weight / COUNT)
    rows = np.asarray(segment.beside(*map(jnp.asarray, (embedded, statistics)))) * weights
    kernel = weights[:, None] * _rotated(np.linalg.eigh(rows.T @ rows)[1], config.embedding_dim)
    segment.turn.kernel[...] = jnp.asarray(kernel, jnp.float32)
    return wider, nnx.state(encoder, nnx.Param)


def _over(function: Callable[[Array], Array], views: Sequence[np.ndarray]) -> Rows:
    """One row per place of the views."""
    found = (np.asarray(function(jnp.asarray(v.reshape(-1, *v.shape[2:])))) for v in views)
    return np.concatenate([f.reshape(-1, f.shape[-1]) for f in found]).astype(np.float64)


def _components(rows: Rows, config: EncoderConfig) -> Float[np.ndarray, "wide dim"]:
    """The directions of the most variance, rotated among themselves."""
    centred = rows - rows.mean(axis=0)
    return _rotated(np.linalg.eigh(centred.T @ centred)[1], config.embedding_dim)


def _rotated(directions: Float[np.ndarray, "wide wide"], dim: int) -> Float[np.ndarray, "wide dim"]:
    """The last of some directions, which are in the order of what they hold, turned."""
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(dim, dim)))
    return directions[:, -dim:] @ rotation
