"""Tests of `voxkin train --init`: calibrating an encoder that there is, or training it on."""

import dataclasses

import jax
import numpy as np
import pytest

from embed.checkpoint import load_encoder
from embed.config import read_config
from tests.commandline import SHAPE, write_volume

pytestmark = pytest.mark.slow

SHORT = (
    *("--train.steps", 2, "--sampling.crops", 2, "--sampling.places", 2, 2, 2),
    *("--train.ignore-cells", 1, "--train.filter-scales", 1, "--report.places", 0),
)


def test_training_goes_on_with_an_encoder_and_its_shape(voxkin, volume, run, tmp_path):
    given = load_encoder(run)

    told = voxkin("train", "--init", run, "--volume", volume, "--out", tmp_path / "new", *SHORT)

    assert told.code == 0, told.err
    found, config = load_encoder(tmp_path / "new"), read_config(tmp_path / "new")
    assert found.config == given.config
    assert config.init == given.fingerprint
    # What it was shown before counts as seen by it too.
    assert found.trained_on[:-1] == given.trained_on
    # Two steps of a small learning rate leave the first kernel nearly as it was.
    old, new = (np.asarray(jax.tree.leaves(e.params["stages"])[1]) for e in (given, found))
    np.testing.assert_allclose(new, old, atol=2e-3)
    assert not np.array_equal(new, old)


def test_without_steps_an_encoder_is_calibrated_and_how_to_train_it_on_is_said(
    voxkin, volume, run, tmp_path
):
    words = ("train", "--init", run, "--volume", volume, "--out", tmp_path / "new")

    told = voxkin(*words, *SHORT[2:])

    assert told.code == 0, told.err
    assert "not trained further: --train.steps 2000 would" in told.err
    found, given = load_encoder(tmp_path / "new"), load_encoder(run)
    assert found.step == 0
    kernels = (jax.tree.leaves(encoder.params["stages"]) for encoder in (found, given))
    assert all(np.array_equal(a, b) for a, b in zip(*kernels, strict=True))
    assert voxkin("train", "adapt", "--volume", volume, "--out", tmp_path / "x").complaint.endswith(
        "name the encoder with --init, or ask for at least 1 step"
    )


@pytest.fixture
def segments(tmp_path):
    """Ids of slabs of 16 voxels along y, on the grid of the volume."""
    ids = np.zeros(SHAPE, np.uint32) + np.arange(1, 4, dtype=np.uint32).repeat(16)[:, None]
    return write_volume(tmp_path / "ids.zarr", ids)


def test_with_a_segmentation_an_encoder_is_trained_on_along_segments(
    voxkin, volume, segments, run, tmp_path
):
    words = ("train", "--init", run, "--volume", volume, "--segmentation", segments)
    few = ("--sampling.crops", 4, "--sampling.segments.smallest-um3", 0.001, *SHORT[:2])

    told = voxkin(*words, "--out", tmp_path / "new", *few, "--train.filter-scales", 1)

    assert told.code == 0, told.err
    config, found = read_config(tmp_path / "new"), load_encoder(tmp_path / "new")
    assert config.sampling.places == (1, 1, 1)
    assert config.train.keep_length == 0
    assert found.masked
    assert found.config == dataclasses.replace(load_encoder(run).config, tones=(), statistics=True)
    again = ("train", "--init", tmp_path / "new", *words[3:], "--out", tmp_path / "again", *few)
    assert voxkin(*again, "--train.read-segment", 0, "--train.filter-scales", 1).code == 0
    assert load_encoder(tmp_path / "again").config == load_encoder(run).config.plain


def test_a_preset_along_segments_wants_those_of_the_volume(voxkin, volume, run, tmp_path):
    words = ("train", "segments", "--init", run, "--volume", volume, "--out", tmp_path / "new")

    assert "name the segment ids of --volume with --segmentation" in voxkin(*words).complaint
    assert not (tmp_path / "new").exists()


@pytest.mark.long
def test_a_preset_trains_on_from_an_encoder_on_the_volumes_that_it_names(
    voxkin, preset, volume, run, tmp_path
):
    file = tmp_path / "again.py"
    file.write_text(
        f"import dataclasses\nfrom embed.config import VolumeConfig, load_preset\n"
        f"config = dataclasses.replace(load_preset({str(preset)!r}),"
        f" volumes=(VolumeConfig({str(volume)!r}),))\n"
    )

    told = voxkin("train", file, "--init", run, "--out", tmp_path / "new", *SHORT)

    assert told.code == 0, told.err
    config = read_config(tmp_path / "new")
    assert config.init == load_encoder(run).fingerprint
    assert config.volumes[0].source == str(volume)


def test_an_encoder_to_start_from_needs_a_volume(voxkin, run, tmp_path):
    ended = voxkin("train", "--init", run, "--out", tmp_path / "new")

    assert "name what to train it on with --volume" in ended.complaint
