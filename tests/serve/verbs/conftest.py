"""A tiny run and atlas of real tissue, made by the command line itself."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from embed.checkpoint import load_encoder
from embed.geometry import Box
from embed.given_layout import create_given_atlas
from embed.inference import embed_shards
from embed.points import Points
from embed.samples import PATH
from embed.volume import open_volume
from serve.cli import main
from tests.commandline import PRESET, SHAPE, Ended, Voxkin, write_volume


@pytest.fixture
def voxkin(capsys: pytest.CaptureFixture[str]) -> Voxkin:
    """Runs a verb here: `voxkin("info", path, "--json")`."""

    def run(*words: object) -> Ended:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset of one's own, for the smallest encoder."""
    path = tmp_path_factory.mktemp("preset") / "tiny.py"
    path.write_text(PRESET)
    return path


@pytest.fixture(scope="session")
def tissue() -> np.ndarray:
    """Voxels of fly brain, none of them 0."""
    voxels = open_volume(PATH).read(Box.of_shape(SHAPE, start=(20, 60, 60)))
    return np.maximum(voxels, 1)


@pytest.fixture(scope="session")
def volume(tissue: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tissue as a zarr, not to be changed."""
    return write_volume(tmp_path_factory.mktemp("volumes") / "tissue.zarr", tissue)


@pytest.fixture
def mine(volume: Path, tmp_path: Path) -> Path:
    """A copy of the volume that a test may damage."""
    return Path(shutil.copytree(volume, tmp_path / "mine.zarr"))


@pytest.fixture(scope="session")
def run(preset: Path, volume: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training run on the tissue, not to be changed."""
    path = tmp_path_factory.mktemp("runs") / "tiny"
    words = ["train", str(preset), "--volume", str(volume), "--out", str(path)]
    assert main([*words, "--report.places", "256", "--report.queries", "1"]) == 0
    return path


@pytest.fixture(scope="session")
def atlas(run: Path, volume: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An indexed atlas of the tissue, not to be changed."""
    path = tmp_path_factory.mktemp("atlases") / "tissue"
    assert main(["embed", str(run), "--volume", str(volume), "--out", str(path)]) == 0
    assert main(["index", str(path)]) == 0
    return path


@pytest.fixture
def own_atlas(atlas: Path, tmp_path: Path) -> Path:
    """A copy of the atlas that a test may change."""
    return Path(shutil.copytree(atlas, tmp_path / "own"))


@pytest.fixture(scope="session")
def given_atlas(atlas: Path, volume: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An indexed atlas of sixty places in the tissue, not to be changed."""
    encoder, source = load_encoder(atlas), open_volume(volume)
    places = np.random.default_rng(0).uniform(4, np.subtract(SHAPE, 4), (60, 3))
    places[0] = (17.5, 21.5, 23.5)  # where there is a location of the grid, too
    points = Points.at(
        places,
        fov=encoder.fov,
        voxel_size_nm=source.frame.voxel_size_nm,
        segments=np.arange(60, dtype=np.uint64) + np.uint64(2**63 + 1),
    )
    path = tmp_path_factory.mktemp("atlases") / "places"
    assert embed_shards(create_given_atlas(encoder, source, path, points, run="r")) == []
    assert main(["index", str(path)]) == 0
    return path
