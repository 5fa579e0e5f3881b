"""The compiled step that trains: augment, embed, un-turn, project, compare, update.

The same program runs on one device and on many. Each device makes and embeds the views of its own
crops; the loss then compares every place with all others, on whichever device they were embedded.
"""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]  # it ships no types
from flax import nnx
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from embed.angles import unit
from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.geometry import Zyx
from embed.training import objective
from embed.training.artefacts import place_centres
from embed.training.augment import change_grey
from embed.training.devices import CROPS
from embed.training.learner import (
    Learner,
    Metrics,
    TrainState,
    make_filters,
    make_optimizer,
    standardised,
)
from embed.training.sampling import Batch
from embed.training.symmetry import symmetry_table, turn, turn_back

Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
Views = Float[Array, "view crop z y x"]
Keys = Key[Array, "view crop"]
Masks = Bool[Array, "view crop z y x"] | None
# Parameters and views to features of every place, [view, crop, place, dim].
EmbedViews = Callable[[PyTree[Array], Views, Keys, Masks], Float[Array, "view crop place dim"]]


def make_train_step(config: RunConfig, mesh: Mesh | None = None) -> Step:
    """The compiled step, built once for all runs of a process that differ in their volumes alone.

    Args:
        config: of the run.
        mesh: devices to share the crops out among; one device if not given.
    """
    any_volume = (VolumeConfig("any"),)
    return _make_train_step(dataclasses.replace(config, volumes=any_volume), mesh)


@functools.lru_cache(maxsize=4)
def _make_train_step(config: RunConfig, mesh: Mesh | None) -> Step:
    graph, _ = nnx.split(nnx.eval_shape(lambda: Learner(config, rngs=nnx.Rngs(0))), nnx.Param)
    optimizer = make_optimizer(config.train)
    embed_views, bank = make_embed_views(config), make_filters(config)
    if mesh is not None:
        crops = P(None, CROPS)
        embed_views = jax.shard_map(
            embed_views,
            mesh=mesh,
            in_specs=(P(), crops, crops, crops),
            out_specs=crops,
            check_vma=False,
        )
    near = jnp.asarray(near_places(config))

    def loss_and_metrics(params: PyTree[Array], batch: Batch, key: Array) -> tuple[Array, Metrics]:
        learner = nnx.merge(graph, params)
        views = jnp.asarray(batch.views)
        masks = None if batch.masks is None else jnp.asarray(batch.masks)
        keys = jax.random.split(key, views.shape[:2])
        found = embed_views(params["encoder"], views, keys, masks)
        a, b = unit(standardised(found.reshape(2, -1, found.shape[-1])))
        ignored = near | _alike(batch.groups, found.shape[2])
        contrast = _compared(config.train, learner.projection(a), learner.projection(b), ignored)
        filters = jnp.zeros(())
        if config.train.filters:
            # Of the views as they were cut: what noise and tone curves hide is to be guessed.
            clean = views if masks is None else views * masks
            responses = jnp.stack([bank(view) for view in clean])
            wanted = standardised(responses.reshape(2, -1, bank.count))
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


def _compared(
    config: TrainConfig,
    a: Float[Array, "n out"],
    b: Float[Array, "n out"],
    ignored: Bool[Array, "n n"],
) -> Float[Array, ""]:
    """The loss of the projections of two views."""
    if config.loss == "nt_xent":
        loss = objective.nt_xent(
            unit(a), unit(b), config.temperature, ignored=ignored, decoupled=config.decoupled
        )
    else:
        loss = objective.invariance(a, b)
    for weight, term in (
        (config.variance, objective.variance),
        (config.covariance, objective.covariance),
    ):
        if weight:
            loss += weight * (term(a) + term(b)) / 2
    return loss


def make_embed_views(config: RunConfig) -> EmbedViews:
    """Builds the part of the step that every crop goes through by itself.

    With `train.at_once`, only so many blocks are in flight: the backward pass embeds them again, so
    that memory does not grow with the batch, while the loss still compares all (Gao et al. 2021,
    arXiv 2101.06983).
    """
    encoder, places = config.encoder, config.sampling.places
    abstract = nnx.eval_shape(lambda: Learner(config, rngs=nnx.Rngs(0)))
    graph, _ = nnx.split(abstract.encoder, nnx.Param)
    # A place must be a place again after the turn, or partners would not show the same.
    table = symmetry_table(encoder.voxel_size_nm, encoder.fov, encoder.stride, places)
    centres = place_centres(encoder.fov, encoder.stride, places)
    change = jax.vmap(functools.partial(change_grey, config=config.augment, centres=centres))

    def embed_blocks(params: PyTree[Array], part: tuple[Array, Array, Array | None]) -> Array:
        blocks, keys, masks = part
        drawn = jax.vmap(jax.random.split)(keys)
        pick = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(table)))
        symmetries = table[pick(drawn[:, 0])]
        blocks = _turned(blocks, symmetries)
        blocks = change(drawn[:, 1], blocks)
        if masks is not None:  # after the change of grey values, so that what is hidden stays 0
            blocks *= _turned(masks.astype(jnp.float32), symmetries)
        grids = nnx.merge(graph, params).features(blocks.astype(config.train.compute))
        grids = jax.vmap(turn_back)(grids, symmetries)
        return grids.reshape(len(grids), math.prod(places), -1)

    def embed_views(params: PyTree[Array], views: Views, keys: Keys, masks: Masks) -> Array:
        shape, count = views.shape[:2], math.prod(views.shape[:2])
        each = config.train.at_once or count
        flat = jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), (views, keys, masks))
        if each >= count:
            found = embed_blocks(params, flat)
        else:
            parts = jax.tree.map(lambda x: x.reshape(-1, each, *x.shape[1:]), flat)
            again = jax.checkpoint(embed_blocks)
            found = jax.lax.map(lambda part: again(params, part), parts)
        return found.reshape(*shape, math.prod(places), -1)

    return embed_views


def _turned(
    blocks: Float[Array, "block z y x"], symmetries: Int[Array, "block 6"]
) -> Float[Array, "block z y x"]:
    if jax.default_backend() != "cpu":
        return jax.vmap(turn)(blocks, symmetries)
    # On a CPU a loop keeps the gather from being merged with the blur.
    return jax.lax.map(lambda pair: turn(*pair), (blocks, symmetries))


def _alike(groups: Array | np.ndarray, places: int) -> Bool[Array, "n n"]:
    """Pairs of places of different crops that show one structure."""
    groups = jnp.asarray(groups)
    alike = (groups[:, None] == groups[None]) & ~jnp.eye(len(groups), dtype=bool)
    return jnp.repeat(jnp.repeat(alike, places, axis=0), places, axis=1)


def near_places(config: RunConfig) -> Bool[np.ndarray, "n n"]:
    """Pairs of places of one step that are too near to be negatives of each other."""
    places: Zyx = config.sampling.places
    cells = np.stack(np.unravel_index(np.arange(math.prod(places)), places), axis=-1)
    far = np.abs(cells[:, None] - cells[None]).max(axis=-1)
    near = far < config.train.ignore_cells
    return np.kron(np.eye(config.sampling.crops, dtype=bool), near)
