"""A tiny run on real tissue, for the tests of what runs report."""

import dataclasses
from pathlib import Path

import pytest

from embed.config import RunConfig, VolumeConfig
from embed.train import fit
from embed.training.sampling import TrainingVolume
from embed.training.volumes import open_training_volumes


@pytest.fixture(scope="session")
def config(tiny_run, tissue_volume) -> RunConfig:
    """Twelve steps on real tissue, saved after 4, 8 and 12."""
    path = tissue_volume.source.spec["kvstore"]["path"]
    return dataclasses.replace(tiny_run, volumes=(VolumeConfig(path),))


@pytest.fixture(scope="session")
def volumes(config) -> list[TrainingVolume]:
    return open_training_volumes(config)


@pytest.fixture(scope="session")
def undisturbed(config, volumes, tmp_path_factory) -> Path:
    """The directory of a run that nothing stopped; not to be changed."""
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert fit(config, volumes, run) is not None
    return run
