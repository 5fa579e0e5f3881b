"""Tests of embed/training/step.py: what a step compares, and that it learns."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.training.augment import AugmentConfig
from embed.training.learner import METRICS, init_state, zero_metrics
from embed.training.sampling import Batch, SamplingConfig
from embed.training.step import make_train_step, near_places
from embed.training.symmetry import symmetry_table

pytestmark = pytest.mark.slow

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
    [
        pytest.param(ISOTROPIC, (3, 3, 3), marks=pytest.mark.long),
        (SECTIONS, (2, 3, 3)),
        pytest.param(FLAT_STEPS, (5, 3, 3), marks=pytest.mark.long),
    ],
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


def test_bfloat16_trains_like_float32(learnt):
    config, sampler, _, metrics = learnt
    rough = dataclasses.replace(config, train=dataclasses.replace(config.train, compute="bfloat16"))

    state, found = make_train_step(rough)(init_state(rough), sampler.batch(0))

    assert abs(float(found["loss"]) / metrics[0]["loss"] - 1) < 0.02
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}


def test_embedding_a_few_blocks_at_a_time_changes_no_gradient(learnt):
    config, sampler, state, _ = learnt
    batch = sampler.batch(7)
    few = dataclasses.replace(config, train=dataclasses.replace(config.train, at_once=2))

    whole, parts = (make_train_step(c)(state, batch) for c in (config, few))

    np.testing.assert_allclose(parts[1]["loss"], whole[1]["loss"], rtol=1e-5)
    np.testing.assert_allclose(parts[1]["grad_norm"], whole[1]["grad_norm"], rtol=1e-4)
    for a, b in zip(
        jax.tree.leaves(parts[0].opt_state), jax.tree.leaves(whole[0].opt_state), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


@pytest.mark.long  # its terms are shown by test_objective.py
def test_vicreg_trains_and_keeps_places_apart(learnt):
    config, sampler, _, _ = learnt
    vicreg = {"loss": "invariance", "variance": 1.0, "covariance": 0.04, "filters": 0.0}
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, **vicreg))
    state, step = init_state(config), make_train_step(config)
    found = []
    for index in range(config.train.steps):
        state, metrics = step(state, sampler.batch(index))
        found.append(jax.device_get(metrics))

    losses, accuracies = ([float(m[k]) for m in found] for k in ("loss", "accuracy"))
    assert np.mean(losses[-5:]) < 0.95 * np.mean(losses[:5])
    assert np.mean(accuracies[-5:]) > 4 / (4 * 27)
