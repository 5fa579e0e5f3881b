"""A served atlas of a module's own, and labels that a probe can learn."""

import numpy as np
import pytest

from serve.index import build_index
from serve.labels import LabelTable
from serve.served import ServedAtlas
from tests.atlases import make_atlas


def signs(atlas, count=60, seed=0):
    """Labels that two numbers of an embedding decide; a fifteenth is of a rare class."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.arange(1000, atlas.grid.size), count, replace=False)
    first, second = atlas.embeddings(ids)[:, :2].T
    names = np.where(first < 0, "axon", "mito")
    names[np.argsort(second)[-(count // 15) :]] = "rare"
    return LabelTable(atlas.positions_nm_xyz(ids), tuple(names.tolist()))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """12 x 14 x 16 locations with a probe called mito, of 240 labels; without an encoder."""
    atlas = make_atlas(tmp_path_factory.mktemp("probed") / "small")
    build_index(atlas)
    served = ServedAtlas.open(atlas.path)
    served.probing.train(signs(atlas, 240), "mito")
    return served
