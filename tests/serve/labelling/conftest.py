"""An atlas of a module's own, whose labels every test begins without."""

import pytest

from serve.index import build_index
from serve.labelling.classes import ClassSet, LabelClass
from serve.labelling.store import FILE, LabelStore
from serve.served import ServedAtlas
from tests.atlases import make_atlas

STRUCTURES = ClassSet(
    "structures", (LabelClass("mito", "#e69f00", "m"), LabelClass("axon", "#56b4e9"))
)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """12 x 14 x 16 locations whose labels may be changed."""
    return make_atlas(tmp_path_factory.mktemp("labelled") / "small")


@pytest.fixture(scope="module")
def served(labelled):
    """The same, served without an encoder, which labels do not ask for."""
    build_index(labelled)
    return ServedAtlas.open(labelled.path)


@pytest.fixture
def store(labelled):
    """Its store with a class set and no label."""
    for file in labelled.path.glob(f"{FILE}*"):
        file.unlink()
    store = LabelStore.open(labelled)
    store.put_set(STRUCTURES)
    return store
