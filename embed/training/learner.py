"""What is trained, and the state that training changes."""

import dataclasses
import itertools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]  # it ships no types
from flax import nnx
from jaxtyping import Array, Float, Int, PyTree

from embed.checkpoint import TrainedEncoder
from embed.config import RunConfig, TrainConfig
from embed.encoder import Encoder, EncoderConfig, network
from embed.errors import MismatchError
from embed.filters import FilterBank

Metrics = dict[str, Array]
METRICS = ("loss", "contrast", "filters", "accuracy", "alignment", "uniformity", "grad_norm")

# Variance added to that of every feature, so that one that never changes is not blown up.
_LEAST = 1e-6


class TrainState(NamedTuple):
    """Everything that changes from step to step, and nothing else.

    Attributes:
        step: steps done.
        params: of the `Learner`.
        opt_state: of the optimiser.
        sums: of the metrics of the steps since they were last set to zero.
    """

    step: Int[Array, ""]
    params: PyTree[Array]
    opt_state: optax.OptState
    sums: Metrics


class Projection(nnx.Module):
    """The head between embedding and loss: pointwise layers, ReLU between them."""

    def __init__(self, dim: int, widths: tuple[int, ...], *, rngs: nnx.Rngs):
        sizes = [dim, *widths]
        pairs = itertools.pairwise(sizes)
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairs])

    def __call__(self, x: Float[Array, "n dim"]) -> Float[Array, "n out"]:
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        return self.layers[-1](x)


class Learner(nnx.Module):
    """What is trained: the encoder and the head that is thrown away."""

    def __init__(self, config: RunConfig, *, rngs: nnx.Rngs):
        self.encoder = Encoder(config.encoder, rngs=rngs)
        self.projection = Projection(
            config.encoder.embedding_dim, config.train.projection, rngs=rngs
        )
        responses = make_filters(config).count
        self.filters = nnx.Linear(config.encoder.embedding_dim, responses, rngs=rngs)


def make_filters(config: RunConfig) -> FilterBank:
    """The classical filters that embeddings are to predict."""
    encoder = config.encoder
    scales = config.train.filter_scales
    return FilterBank(encoder.voxel_size_nm, encoder.fov, encoder.stride, scales)


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW with a linear warm-up and a cosine to zero; no decay on biases and norms."""
    warmup = round(config.warmup * config.steps)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0 if warmup else config.learning_rate,
        config.learning_rate,
        warmup,
        max(config.steps, warmup + 1),
    )
    return optax.adamw(
        schedule,
        weight_decay=config.weight_decay,
        mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params),
    )


def init_state(config: RunConfig) -> TrainState:
    """The state before the first step, a function of the seed."""
    params = nnx.state(Learner(config, rngs=nnx.Rngs(config.sampling.seed)), nnx.Param)
    opt_state = make_optimizer(config.train).init(params)
    return TrainState(jnp.zeros((), jnp.int32), params, opt_state, zero_metrics())


def started_from(encoder: TrainedEncoder, config: RunConfig) -> TrainState:
    """The state before the first step of a run that goes on with a trained encoder.

    Raises:
        MismatchError: the encoder has another shape than `config.encoder`; voxel sizes may differ.
    """
    # What it reads beside what it learnt is laid there again, once training ends.
    voxels = config.encoder.voxel_size_nm
    if dataclasses.replace(encoder.config.plain, voxel_size_nm=voxels) != config.encoder:
        raise MismatchError(
            f"the encoder to start from has the shape {encoder.config}, and the run is configured "
            f"for {config.encoder}: leave out the --encoder flags"
        )
    state = init_state(config)
    params = jax.tree.map(lambda value: value, state.params)  # a copy: entries are replaced
    learnt = jax.tree.map(jnp.asarray, encoder.params)
    for read in {"filters", "angles"} & {*learnt}:
        del learnt[read]
    params["encoder"] = learnt
    return state._replace(params=params)


def zero_metrics() -> Metrics:
    """Sums of the metrics of no step."""
    return {name: jnp.zeros(()) for name in METRICS}


def standardised(features: Float[Array, "view n dim"]) -> Float[Array, "view n dim"]:
    """Features with zero mean and unit deviation over all places of a step.

    Without this, what all places have in common outweighs what tells them apart, and training
    stalls near collapse. Once training ends, `calibrated` puts the like into the encoder's head.
    """
    centred = features - jnp.mean(features, axis=(0, 1), keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=(0, 1), keepdims=True) + _LEAST)


def calibrated(
    params: PyTree[Array],
    config: EncoderConfig,
    views: Iterable[Float[np.ndarray, "view crop z y x"]],
) -> PyTree[Array]:
    """Parameters of an encoder whose features have zero mean and unit deviation over `views`.

    What training does with the places of a step is done here once, for the places given, and
    written into the kernel and bias of the head: the encoder stays a function of one field of view.
    """
    encoder = network(config, params)
    features = jax.jit(encoder.features)
    seen = [np.asarray(features(jnp.asarray(v.reshape(-1, *v.shape[2:])))) for v in views]
    flat = np.concatenate([f.reshape(-1, config.embedding_dim) for f in seen]).astype(np.float64)
    mean, deviation = flat.mean(axis=0), np.sqrt(flat.var(axis=0) + _LEAST)
    kernel, bias = encoder.head.kernel, encoder.head.bias
    assert bias is not None
    bias[...] = jnp.asarray((np.asarray(bias[...]) - mean) / deviation, jnp.float32)
    kernel[...] = jnp.asarray(np.asarray(kernel[...]) / deviation, jnp.float32)
    return nnx.state(encoder, nnx.Param)
