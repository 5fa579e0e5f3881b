"""Tests of runs without steps, which make the features of an encoder those of their volumes."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from embed.checkpoint import load_encoder
from embed.config import VolumeConfig
from embed.encoder import network
from embed.errors import ConfigError
from embed.train import fit
from embed.training.keeper import encoder_of
from embed.training.learner import init_state
from embed.training.sampling import PairSampler
from embed.training.volumes import open_training_volumes


@pytest.fixture(scope="module")
def config(tiny_run, tissue_volume):
    path = tissue_volume.source.spec["kvstore"]["path"]
    train = dataclasses.replace(tiny_run.train, steps=0, keep_length=0.0)
    return dataclasses.replace(tiny_run, volumes=(VolumeConfig(path),), train=train)


def features_of(encoder, config, volumes):
    """Of places that were not calibrated on."""
    sampler = PairSampler(volumes, encoder.config, config.sampling)
    views = sampler.batch(1000).views
    found = np.asarray(
        network(encoder.config, encoder.params).features(
            jnp.asarray(views.reshape(-1, *views.shape[2:]))
        )
    )
    return found.reshape(-1, found.shape[-1])


def test_no_steps_make_features_of_zero_mean_and_unit_deviation_and_change_nothing_else(
    config, tmp_path
):
    volumes = open_training_volumes(config)
    elsewhere = encoder_of(config, volumes, init_state(config))
    before = network(elsewhere.config, elsewhere.params)
    before.head.bias[...] += 5.0
    before.head.kernel[...] *= 3.0
    init = dataclasses.replace(elsewhere, params=nnx.state(before, nnx.Param))
    was = features_of(init, config, volumes)

    encoder = fit(config, volumes, tmp_path / "run", init=init)

    now = features_of(encoder, config, volumes)
    assert np.abs(was.mean(axis=0)).min() > 3
    assert np.abs(now.mean(axis=0)).max() < 0.5
    assert np.abs(now.std(axis=0) - 1).max() < 0.5
    apart = [np.corrcoef(a, b)[0, 1] for a, b in zip(was.T, now.T, strict=True)]
    np.testing.assert_allclose(apart, 1, atol=1e-4)

    page = (tmp_path / "run" / "report.html").read_text()
    assert "Calibrated to its volumes" in page
    assert "<h2>Curves</h2>" not in page
    assert len(list((tmp_path / "run" / "sheets").iterdir())) == 1
    written = (tmp_path / "run" / "encoder.npz").read_bytes()
    assert fit(config, volumes, tmp_path / "run", init=init) is not None
    assert (tmp_path / "run" / "encoder.npz").read_bytes() == written
    assert load_encoder(tmp_path / "run").fingerprint == encoder.fingerprint


def test_there_must_be_an_encoder_to_calibrate(config, tmp_path):
    with pytest.raises(ConfigError, match="name the encoder with --init"):
        fit(config, open_training_volumes(config), tmp_path / "run")
    assert not (tmp_path / "run").exists()
