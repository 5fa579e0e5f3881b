"""What is trained, and the compiled step that trains it."""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]  # it ships no types
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PyTree

from embed import augment, objective
from embed.config import RunConfig, TrainConfig
from embed.encoder import Encoder, EncoderConfig, unit
from embed.filters import FilterBank
from embed.geometry import Zyx
from embed.sampling import Batch

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


Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


class Projection(nnx.Module):
    """The head between embedding and loss: pointwise layers, ReLU between them."""

    def __init__(self, dim: int, widths: tuple[int, ...], *, rngs: nnx.Rngs):
        sizes = [dim, *widths]
        pairs = itertools.pairwise(sizes)
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairs])

    def __call__(self, x: Float[Array, "n dim"]) -> Float[Array, "n out"]:
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        x = self.layers[-1](x)
        return unit(x)


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
    return FilterBank(encoder.voxel_size_nm, encoder.fov, encoder.stride, config.sampling.places)


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


def zero_metrics() -> Metrics:
    """Sums of the metrics of no step."""
    return {name: jnp.zeros(()) for name in METRICS}


def make_train_step(config: RunConfig) -> Step:
    """Builds the compiled step: augment, embed, un-turn, project, compare, update."""
    abstract = nnx.eval_shape(lambda: Learner(config, rngs=nnx.Rngs(0)))
    graph, _ = nnx.split(abstract, nnx.Param)
    optimizer = make_optimizer(config.train)
    views_of = _make_views(config)
    near = jnp.asarray(near_places(config))
    per_crop = math.prod(config.sampling.places)
    bank = make_filters(config)

    def loss_and_metrics(params: PyTree[Array], batch: Batch, key: Array) -> tuple[Array, Metrics]:
        learner = nnx.merge(graph, params)
        views, groups = map(jnp.asarray, batch)
        alike = (groups[:, None] == groups[None]) & ~jnp.eye(len(groups), dtype=bool)
        ignored = near | jnp.repeat(jnp.repeat(alike, per_crop, 0), per_crop, 1)
        blocks, symmetries = views_of(key, views)
        grids = learner.encoder.features(blocks.astype(config.train.compute))
        grids = jax.lax.map(lambda pair: augment.turn_back(*pair), (grids, symmetries))
        a, b = unit(standardised(grids.reshape(2, -1, config.encoder.embedding_dim)))
        head = learner.projection
        contrast = objective.nt_xent(
            head(a),
            head(b),
            config.train.temperature,
            ignored=ignored,
            decoupled=config.train.decoupled,
        )
        filters = jnp.zeros(())
        if config.train.filters:
            # Of the views as they were cut: what noise and tone curves hide is to be guessed.
            clean = views.reshape(-1, *views.shape[2:])
            wanted = standardised(bank(clean).reshape(2, -1, bank.count))
            given = learner.filters(jnp.stack([a, b]) * math.sqrt(a.shape[-1]))
            filters = jnp.mean((given - wanted) ** 2)
        loss = contrast + config.train.filters * filters
        return loss, {
            "loss": loss,
            "contrast": contrast,
            "filters": filters,
            "accuracy": objective.contrastive_accuracy(a, b, ignored),
            "alignment": objective.alignment(a, b),
            "uniformity": objective.uniformity(a),
        }

    @jax.jit
    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.key(config.sampling.seed), state.step)
        gradient = jax.grad(loss_and_metrics, has_aux=True)
        grads, metrics = gradient(state.params, batch, key)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics["grad_norm"] = optax.tree.norm(grads)
        sums = jax.tree.map(jnp.add, state.sums, metrics)
        return TrainState(state.step + 1, params, opt_state, sums), metrics

    return train_step


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
    graph, _ = nnx.split(nnx.eval_shape(lambda: Encoder(config, rngs=nnx.Rngs(0))), nnx.Param)
    features = jax.jit(lambda blocks: nnx.merge(graph, params).features(blocks))
    seen = [np.asarray(features(jnp.asarray(v.reshape(-1, *v.shape[2:])))) for v in views]
    flat = np.concatenate([f.reshape(-1, config.embedding_dim) for f in seen]).astype(np.float64)
    mean, deviation = flat.mean(axis=0), np.sqrt(flat.var(axis=0) + _LEAST)
    # A copy: merging shares the parameters, and those of the training state must stay.
    encoder = nnx.merge(graph, jax.tree.map(jnp.asarray, params))
    kernel, bias = encoder.head.kernel, encoder.head.bias
    assert bias is not None
    bias[...] = jnp.asarray((np.asarray(bias[...]) - mean) / deviation, jnp.float32)
    kernel[...] = jnp.asarray(np.asarray(kernel[...]) / deviation, jnp.float32)
    return nnx.state(encoder, nnx.Param)


def _make_views(config: RunConfig) -> Callable[[Array, Array], tuple[Array, Array]]:
    encoder = config.encoder
    # A place must be a place again after the turn, or partners would not show the same.
    same = (encoder.fov, encoder.stride, config.sampling.places)
    table = augment.symmetry_table(encoder.voxel_size_nm, *same)

    def views_of(key: Array, views: Array) -> tuple[Array, Array]:
        blocks = views.reshape(-1, *views.shape[2:])
        choose, change = jax.random.split(key)
        symmetries = table[jax.random.randint(choose, (len(blocks),), 0, len(table))]
        # map, not vmap: under vmap a switch computes every branch (five times slower).
        blocks = jax.lax.map(lambda pair: augment.turn(*pair), (blocks, symmetries))
        keys = jax.random.split(change, len(blocks))
        grey = jax.vmap(augment.change_grey, in_axes=(0, 0, None))
        return grey(keys, blocks, config.augment), symmetries

    return views_of


def near_places(config: RunConfig) -> Bool[np.ndarray, "n n"]:
    """Pairs of places of one step that are too near to be negatives of each other."""
    places: Zyx = config.sampling.places
    cells = np.stack(np.unravel_index(np.arange(math.prod(places)), places), axis=-1)
    far = np.abs(cells[:, None] - cells[None]).max(axis=-1)
    near = far < config.train.ignore_cells
    return np.kron(np.eye(config.sampling.crops, dtype=bool), near)
