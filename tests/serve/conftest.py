"""Small atlases with their indices, for all tests of serve that do not change them."""

import pytest

from serve.index import Index, build_index, open_index
from tests.atlases import make_atlas, make_given_atlas


@pytest.fixture(scope="session")
def atlas(tmp_path_factory):
    """12 x 14 x 16 locations of 16 numbers, finished; not to be changed."""
    return make_atlas(tmp_path_factory.mktemp("atlases") / "small")


@pytest.fixture(scope="session")
def index(atlas) -> Index:
    """The index that is advised for it, which compares everything."""
    build_index(atlas)
    return open_index(atlas)


@pytest.fixture(scope="session")
def given(atlas, tmp_path_factory):
    """200 given places in its volume, finished and indexed; not to be changed."""
    made = make_given_atlas(tmp_path_factory.mktemp("given") / "places", atlas)
    build_index(made)
    return made
