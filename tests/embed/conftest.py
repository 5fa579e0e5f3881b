"""A tiny encoder, a crop of real tissue, and a way to store voxels, for the tests of embed."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from embed.backends.backend import Backend
from embed.backends.choice import open_backend
from embed.checkpoint import TrainedEncoder, random_encoder
from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.geometry import Box, ZyxFloat
from embed.normaliser import measure
from embed.samples import PATH
from embed.training.learner import TrainState, init_state
from embed.training.sampling import PairSampler, SamplingConfig, TrainingVolume
from embed.training.step import make_train_step
from embed.volume import Volume, open_volume

TINY = EncoderConfig(
    stages=(Stage(8, (3, 3, 3), (2, 2, 2)), Stage(8, (3, 3, 3), blocks=1)),
    read=(0, 1),
    embedding_dim=8,
)
"""Sees 7 voxels of 10 nm and steps 2."""

WriteVolume = Callable[..., Volume]
Learnt = tuple[RunConfig, PairSampler, TrainState, list[dict[str, float]]]


@pytest.fixture(scope="session")
def tiny() -> EncoderConfig:
    """The smallest encoder with everything: two stages, both read, a block."""
    return TINY


@pytest.fixture(scope="session")
def tiny_run() -> RunConfig:
    """Twelve steps on a volume yet to be named; it saves after 4, 8, 12 and logs 1, 5, 10, 12."""
    return RunConfig(
        volumes=(VolumeConfig("unnamed"),),
        encoder=TINY,
        sampling=SamplingConfig(crops=3, places=(3, 3, 3), shift_nm=20.0),
        train=TrainConfig(steps=12, save_every=4, log_every=5, projection=(8,), ignore_cells=2),
    )


@pytest.fixture(scope="session")
def encoder() -> TrainedEncoder:
    """The tiny encoder, untrained."""
    return random_encoder(TINY)


@pytest.fixture(scope="session")
def backend(encoder: TrainedEncoder) -> Backend:
    """What runs it here."""
    return open_backend(encoder)


@pytest.fixture(scope="session")
def tissue() -> np.ndarray:
    """40 x 48 x 56 voxels of fly brain, none of them 0."""
    voxels = open_volume(str(PATH)).read(Box.of_shape((40, 48, 56), start=(20, 60, 60)))
    return np.maximum(voxels, 1)


@pytest.fixture(scope="session")
def tissue_volume(tissue: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Volume:
    """The crop of real tissue, stored; not to be changed."""
    return store_volume(tmp_path_factory.mktemp("volumes") / "tissue.zarr", tissue)


@pytest.fixture
def write_volume(tmp_path: Path) -> WriteVolume:
    """Stores voxels in the folder of the test under a name, and opens them."""

    def write(
        voxels: np.ndarray,
        voxel_size_nm: ZyxFloat = (10.0, 10.0, 10.0),
        name: str = "volume.zarr",
    ) -> Volume:
        return store_volume(tmp_path / name, voxels, voxel_size_nm)

    return write


def store_volume(
    path: Path, voxels: np.ndarray, voxel_size_nm: ZyxFloat = (10.0, 10.0, 10.0)
) -> Volume:
    """Stores voxels as zarr in chunks of 16 voxels an edge, and opens them."""
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": list(voxels.shape),
            "data_type": voxels.dtype.name,
            "dimension_names": ["z", "y", "x"],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [16, 16, 16]}},
            "attributes": {"dimension_units": [f"{size} nm" for size in voxel_size_nm]},
        },
    }
    ts.open(spec, create=True, delete_existing=True).result().write(voxels).result()
    return open_volume(path)


@pytest.fixture(scope="session")
def learnt(tissue_volume: Volume, tiny_run: RunConfig) -> Learnt:
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
