"""Tests of serve/served.py: what is opened for serving is whole and belongs together."""

import dataclasses
import shutil

import numpy as np
import pytest

from embed.checkpoint import FILE, random_encoder, save_encoder
from embed.errors import DataError, IncompleteError, MismatchError, NotFoundError, RequestError
from serve.catalogue import Catalogue
from serve.served import ServedAtlas
from tests.served import ENCODER, INSIDE, make_served


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture
def path(served, tmp_path):
    """A copy of the atlas, to be spoilt."""
    return shutil.copytree(served.atlas.path, tmp_path / "small")


def test_an_encoder_that_made_another_atlas_is_refused(path):
    save_encoder(random_encoder(ENCODER, seed=1), path / FILE)

    with pytest.raises(MismatchError, match="fingerprint"):
        ServedAtlas.open(path)


def test_a_truncated_encoder_is_refused(path):
    content = (path / FILE).read_bytes()
    (path / FILE).write_bytes(content[: len(content) // 2])

    with pytest.raises(DataError, match=FILE):
        ServedAtlas.open(path)


def test_an_unfinished_atlas_is_refused_and_how_to_go_on_is_said(path):
    next((path / "ledger").glob("*.json")).unlink()

    with pytest.raises(IncompleteError, match="voxkin embed"):
        ServedAtlas.open(path)


def test_an_atlas_without_an_index_is_refused_and_how_to_make_one_is_said(path):
    shutil.rmtree(path / "index")

    with pytest.raises(NotFoundError, match="voxkin index"):
        ServedAtlas.open(path)


def test_a_folder_that_is_no_atlas_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="atlas"):
        ServedAtlas.open(tmp_path)


def test_an_atlas_without_its_encoder_is_searched_but_cannot_embed(path):
    (path / FILE).unlink()

    served = ServedAtlas.open(path)

    assert served.find_at(INSIDE, 1, None).hits
    assert not served.summary().has_encoder
    with pytest.raises(NotFoundError, match="no encoder"):
        served.embed(np.ones((5, 17, 17), np.uint8))


def test_an_atlas_whose_volume_has_gone_is_still_searched_and_described(served, path):
    description = path / "atlas.json"
    description.write_text(description.read_text().replace("small-volume", "no-volume"))
    with pytest.raises(MismatchError):  # another source is another atlas, for its index
        ServedAtlas.open(path)
    gone = ServedAtlas(served.atlas, served.index)
    gone.atlas = type(served.atlas).open(path)

    assert gone.summary().volume_nm == ((0, 0, 0), (616, 552, 810))


def test_the_centre_of_a_cut_out_is_the_vector_nearest_to_its_middle(served):
    voxels = np.random.default_rng(0).integers(1, 255, (5, 17, 17 + 3 * 4 + 1)).astype(np.uint8)

    found = served.embed(voxels)

    # Middles of the fields of view lie at 8.5, 12.5, 16.5, 20.5 voxels, that of the cut-out at 15.
    assert found.vectors.shape[:3] == (1, 1, 4)
    np.testing.assert_array_equal(found.centre, found.vectors[0, 0, 2])


def test_a_constant_cut_out_is_embedded_like_any_other(served):
    assert np.isfinite(served.embed(np.zeros((5, 17, 17), np.int16)).centre).all()


def test_a_cut_out_of_infinite_voxels_is_refused(served):
    with pytest.raises(RequestError, match="infinite"):
        served.embed(np.full((5, 17, 17), np.inf, np.float32))


def test_a_catalogue_finds_the_only_atlas_without_a_name(served):
    assert Catalogue({"a": served})[""] is served


def test_a_catalogue_of_several_wants_a_name_and_tells_them(served):
    atlases = Catalogue({"b": served, "a": served})

    with pytest.raises(RequestError, match="served: a, b"):
        atlases[""]
    with pytest.raises(NotFoundError, match="no atlas 'c'; served: a, b"):
        atlases["c"]


def test_an_atlas_is_described_by_the_name_it_is_served_under(served):
    atlases = Catalogue({"other": served})

    assert (list(atlases), atlases.summary("").name) == (["other"], "other")


def test_a_summary_is_made_of_plain_values(served):
    summary = dataclasses.asdict(served.summary())

    assert summary["locations_nm"] == ((68, 68, 75), (548, 484, 735))
    assert summary["stride_voxels"] == (4, 4, 2)
