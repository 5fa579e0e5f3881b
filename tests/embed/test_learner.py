"""Tests of embed/learner.py: what a step compares, and that it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from embed.augment import AugmentConfig, symmetry_table
from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import Encoder, EncoderConfig, Stage
from embed.learner import (
    METRICS,
    calibrated,
    init_state,
    make_train_step,
    near_places,
    standardised,
    zero_metrics,
)
from embed.normaliser import measure
from embed.sampling import Batch, PairSampler, SamplingConfig, TrainingVolume

UNCHANGED = AugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
ISOTROPIC = EncoderConfig(
    stages=(Stage(6, (3, 3, 3), (2, 2, 2)), Stage(6, (2, 2, 2))), read=(0, 1), embedding_dim=6
)
SECTIONS = EncoderConfig(
    voxel_size_nm=(40.0, 5.0, 5.0),
    stages=(Stage(6, (1, 3, 3), (1, 2, 2)), Stage(6, (3, 2, 2))),
    read=(0, 1),
    embedding_dim=6,
)
FLAT_STEPS = EncoderConfig(stages=(Stage(6, (3, 3, 3), (1, 2, 2)),), read=(0,), embedding_dim=6)
"""Isotropic voxels, but steps that differ: z may not change places with y or x."""


def run_of(encoder, places, **train):
    settings = {"steps": 40, "projection": (8,), "ignore_cells": 2, **train}
    return RunConfig(
        volumes=(VolumeConfig("unused"),),
        encoder=encoder,
        sampling=SamplingConfig(crops=4, places=places, shift_nm=0.0),
        augment=UNCHANGED,
        train=TrainConfig(**settings),
    )


@pytest.mark.parametrize("places", [(2, 3, 4), (1, 1, 5)])
@pytest.mark.parametrize("cells", [0, 1, 3])
def test_places_too_near_to_be_negatives_are_those_of_a_plain_loop(places, cells):
    config = run_of(ISOTROPIC, places, ignore_cells=cells)
    every = [(c, *cell) for c in range(4) for cell in np.ndindex(*places)]

    near = near_places(config)

    expected = [
        [a[0] == b[0] and max(abs(np.subtract(a[1:], b[1:]))) < cells for b in every] for a in every
    ]
    np.testing.assert_array_equal(near, expected)


def symmetric(params, config, places):
    """Parameters whose convolutions look the same under every turn that the run may make."""
    rows = np.asarray(symmetry_table(config.voxel_size_nm, config.fov, config.stride, places))

    def mean_of_turns(leaf):
        if leaf.ndim != 5:
            return leaf
        turns = [
            np.flip(leaf, tuple(np.flatnonzero(row[3:]).tolist())).transpose([*row[:3], 3, 4])
            for row in rows
        ]
        return jnp.asarray(np.mean(turns, axis=0, dtype=np.float32))

    return jax.tree.map(mean_of_turns, params)


@pytest.mark.parametrize(
    ("encoder", "places"),
    [(ISOTROPIC, (3, 3, 3)), (SECTIONS, (2, 3, 3)), (FLAT_STEPS, (5, 3, 3))],
    ids=["isotropic", "sections", "flat steps"],
)
def test_partners_are_the_same_place_whatever_turn_their_blocks_were_given(encoder, places):
    """With no shift and no change of grey values, only the turns tell two views apart."""
    config = run_of(encoder, places)
    rng = np.random.default_rng(0)
    block = rng.normal(size=(4, *encoder.voxels(places))).astype(np.float32)
    batch = Batch(np.stack([block, block]), np.arange(4, dtype=np.int32))
    state, step = init_state(config), make_train_step(config)
    blind = state._replace(params=symmetric(state.params, encoder, places))

    _, seeing = step(state, batch)
    _, metrics = step(blind, batch)

    assert seeing["alignment"] > 0.1
    assert metrics["alignment"] < 1e-4
    assert metrics["accuracy"] > 0.95


@pytest.fixture(scope="module")
def learnt(tissue_volume, tiny_run):
    """Forty steps on real tissue: config, sampler, the state after them and their metrics."""
    config = dataclasses.replace(
        tiny_run,
        sampling=SamplingConfig(crops=4, places=(3, 3, 3), shift_nm=10.0),
        train=TrainConfig(steps=40, learning_rate=3e-3, projection=(8,), ignore_cells=2),
    )
    source = TrainingVolume(tissue_volume, tissue_volume.box, measure(tissue_volume))
    sampler = PairSampler([source], config.encoder, config.sampling)
    state, step = init_state(config), make_train_step(config)
    metrics = []
    for index in range(config.train.steps):
        state, found = step(state, sampler.batch(index))
        metrics.append({name: float(value) for name, value in found.items()})
    return config, sampler, state, metrics


def test_a_few_steps_lower_the_loss_on_real_tissue(learnt):
    _, _, state, metrics = learnt
    losses = [m["loss"] for m in metrics]

    assert int(state.step) == 40
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5])
    chance = 1 / (4 * 27)
    assert np.mean([m["accuracy"] for m in metrics[-5:]]) > 4 * chance
    assert np.isfinite([list(m.values()) for m in metrics]).all()


def test_the_state_sums_the_metrics_of_its_steps(learnt):
    *_, state, metrics = learnt

    assert set(METRICS) == set(state.sums) == set(metrics[0])
    for name in METRICS:
        total = sum(m[name] for m in metrics)
        np.testing.assert_allclose(state.sums[name], total, rtol=1e-4)
    assert not any(np.asarray(v).any() for v in zero_metrics().values())


def test_a_step_is_a_function_of_state_and_views(learnt):
    config, sampler, state, _ = learnt
    step, views = make_train_step(config), sampler.batch(0)

    losses = [
        step(s, views)[1]["loss"] for s in (state, state, state._replace(step=state.step + 1))
    ]

    assert losses[0] == losses[1] != losses[2]


def test_crops_of_one_group_are_no_negatives_of_each_other(learnt):
    config, sampler, state, _ = learnt
    step, batch = make_train_step(config), sampler.batch(0)
    one_group = batch._replace(groups=np.zeros_like(batch.groups))

    apart, together = step(state, batch)[1], step(state, one_group)[1]

    assert together["contrast"] < apart["contrast"]
    assert together["alignment"] == apart["alignment"]


def test_embeddings_learn_to_predict_the_classical_filters(learnt):
    config, sampler, _, _ = learnt
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, filters=2.0))
    state, step = init_state(config), make_train_step(config)
    errors = []
    for index in range(config.train.steps):
        state, found = step(state, sampler.batch(index))
        errors.append(float(found["filters"]))
        expected = found["contrast"] + 2 * found["filters"]
        np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)

    assert np.mean(errors[-5:]) < 0.8 * np.mean(errors[:5])


def test_the_seed_decides_the_first_parameters(tiny_run):
    other = dataclasses.replace(tiny_run, sampling=dataclasses.replace(tiny_run.sampling, seed=1))

    states = [init_state(config) for config in (tiny_run, tiny_run, other)]

    leaves = [[np.asarray(leaf) for leaf in jax.tree.leaves(s.params)] for s in states]
    assert all(map(np.array_equal, leaves[0], leaves[1]))
    assert not all(map(np.array_equal, leaves[0], leaves[2]))


def test_features_are_standardised_over_all_places_of_both_views():
    drawn = np.random.default_rng(0).normal(3, [1, 5, 0.1, 0], size=(2, 200, 4))

    features = np.asarray(standardised(jnp.asarray(drawn.astype(np.float32))))

    np.testing.assert_allclose(features.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(features.std(axis=(0, 1)), [1, 1, 1, 0], atol=1e-2)


def features_of(config, params, views):
    graph, _ = nnx.split(nnx.eval_shape(lambda: Encoder(config, rngs=nnx.Rngs(0))), nnx.Param)
    run = jax.jit(lambda blocks: nnx.merge(graph, params).features(blocks))
    blocks = np.concatenate([v.reshape(-1, *v.shape[2:]) for v in views])
    return np.asarray(run(jnp.asarray(blocks))).reshape(-1, config.embedding_dim)


def test_a_calibrated_encoder_has_features_of_zero_mean_and_unit_deviation(learnt):
    config, sampler, state, _ = learnt
    views = [sampler.batch(step).views for step in range(4)]
    raw = features_of(config.encoder, state.params["encoder"], views)

    params = calibrated(state.params["encoder"], config.encoder, views)

    found = features_of(config.encoder, params, views)
    assert np.abs(raw.mean(axis=0)).max() > 0.05
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-2)
    # Cosines are those that training compared: of the standardised features.
    pair = jnp.asarray(np.stack([raw, raw]))
    expected = of_length_one(np.asarray(standardised(pair))[0])
    np.testing.assert_allclose(of_length_one(found), expected, atol=1e-3)


def of_length_one(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_calibrating_changes_the_head_alone_and_not_what_it_was_given(learnt):
    config, sampler, state, _ = learnt
    before = jax.tree.map(np.array, state.params["encoder"])

    params = calibrated(state.params["encoder"], config.encoder, [sampler.batch(0).views])

    given = jax.tree_util.tree_leaves_with_path(state.params["encoder"])
    changed = set()
    rows = zip(given, jax.tree.leaves(before), jax.tree.leaves(params), strict=True)
    for (path, now), old, new in rows:
        np.testing.assert_array_equal(now, old)
        if not np.array_equal(new, old):
            changed.add(jax.tree_util.keystr(path))
    assert changed == {"['head']['kernel'].value", "['head']['bias'].value"}


def test_bfloat16_trains_like_float32(learnt):
    config, sampler, _, metrics = learnt
    rough = dataclasses.replace(config, train=dataclasses.replace(config.train, compute="bfloat16"))

    state, found = make_train_step(rough)(init_state(rough), sampler.batch(0))

    assert abs(float(found["loss"]) / metrics[0]["loss"] - 1) < 0.02
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
