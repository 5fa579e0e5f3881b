"""A small map for the tests of what is made of it."""

import shutil

import pytest

import serve.clusters.project
from embed.atlas import Atlas
from serve.clusters.project import project
from tests.laid_out import by_kind, make_mapped


@pytest.fixture(scope="session")
def mapped(tmp_path_factory):
    """An atlas of three kinds of places with its map; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        return make_mapped(tmp_path_factory.mktemp("mapped") / "three", patch)


@pytest.fixture
def own(mapped, tmp_path):
    """The same, to be changed."""
    shutil.copytree(mapped.path, tmp_path / "three")
    return Atlas.open(tmp_path / "three")


@pytest.fixture
def again(monkeypatch):
    """Makes the map of an atlas again, of another sample and without UMAP."""
    monkeypatch.setattr(serve.clusters.project, "lay_out", by_kind)
    return lambda atlas, **wanted: project(atlas, **{"sample": 250, "seed": 7, **wanted})
