"""One small atlas, with its index, for all tests of serve that do not change it."""

import pytest

from serve.index import Index, build_index, open_index
from tests.atlases import make_atlas


@pytest.fixture(scope="session")
def atlas(tmp_path_factory):
    """12 x 14 x 16 locations of 16 numbers, finished; not to be changed."""
    return make_atlas(tmp_path_factory.mktemp("atlases") / "small")


@pytest.fixture(scope="session")
def index(atlas) -> Index:
    """The index that is advised for it, which compares everything."""
    build_index(atlas)
    return open_index(atlas)
