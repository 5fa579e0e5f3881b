"""A tiny encoder, a crop of real tissue, and a way to store voxels, for the tests of embed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from embed.checkpoint import TrainedEncoder, random_encoder
from embed.encoder import EncoderConfig, Stage
from embed.geometry import Box, Zyx, ZyxFloat
from embed.samples import PATH
from embed.volume import Volume, open_volume

TINY = EncoderConfig(
    stages=(Stage(8, (3, 3, 3), (2, 2, 2)), Stage(8, (3, 3, 3), blocks=1)),
    read=(0, 1),
    embedding_dim=8,
)
"""Sees 7 voxels of 10 nm and steps 2."""

WriteVolume = Callable[..., Volume]


@pytest.fixture(scope="session")
def tiny() -> EncoderConfig:
    """The smallest encoder with everything: two stages, both read, a block."""
    return TINY


@pytest.fixture(scope="session")
def encoder() -> TrainedEncoder:
    """The tiny encoder, untrained."""
    return random_encoder(TINY)


@pytest.fixture(scope="session")
def tissue() -> np.ndarray:
    """40 x 48 x 56 voxels of fly brain, none of them 0."""
    voxels = open_volume(str(PATH)).read(Box.of_shape((40, 48, 56), start=(20, 60, 60)))
    return np.maximum(voxels, 1)


@pytest.fixture
def write_volume(tmp_path: Path) -> WriteVolume:
    """Stores voxels as a zarr array in chunks of 16 voxels an edge, and opens it."""

    def write(
        voxels: np.ndarray,
        voxel_size_nm: ZyxFloat = (10.0, 10.0, 10.0),
        name: str = "volume.zarr",
        chunk: Zyx = (16, 16, 16),
    ) -> Volume:
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{tmp_path / name}/"},
            "metadata": {
                "shape": list(voxels.shape),
                "data_type": voxels.dtype.name,
                "dimension_names": ["z", "y", "x"],
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
                "attributes": {"dimension_units": [f"{size} nm" for size in voxel_size_nm]},
            },
        }
        store = ts.open(spec, create=True, delete_existing=True).result()
        store.write(voxels).result()
        return open_volume(tmp_path / name)

    return write
