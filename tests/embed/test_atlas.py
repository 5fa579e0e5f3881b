"""Tests of embed/atlas.py: provenance, and places in nanometres."""

import dataclasses
import json

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.errors import (
    DataError,
    IncompleteError,
    MismatchError,
    NotFoundError,
    OutOfBoundsError,
    StorageError,
)
from embed.geometry import Frame
from embed.ledger import Mark
from embed.normaliser import Normaliser
from tests.atlases import SHARD, STRIDE, VOXEL_NM, make_atlas


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """Finished, 9 x 10 x 11 locations; not to be changed."""
    return make_atlas(tmp_path_factory.mktemp("atlas") / "small", (9, 10, 11), dim=4)


@pytest.fixture
def own(atlas, tmp_path):
    """The description of `atlas` laid out anew, without any embeddings."""
    return Atlas.create(tmp_path / "own", atlas.info)


def damage(atlas, **changes):
    file = atlas.path / "atlas.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_an_atlas_opens_again_with_all_of_its_provenance(atlas):
    found = Atlas.open(atlas.path)

    assert found.info == atlas.info
    assert found.name == "small"
    assert found.store.cells.shape == (9, 10, 11)
    assert found.volume.frame == Frame(tuple(map(float, VOXEL_NM)))
    found.require_complete()


def test_creating_the_same_again_opens_what_is_there(own):
    own.ledger.record((0, 0, 0), Mark("void", "", 512, 512))
    later = dataclasses.replace(own.info, created="2027-01-01T00:00:00+00:00", run="elsewhere")

    again = Atlas.create(own.path, later)

    assert again.info == own.info
    assert again.ledger.marks().keys() == {(0, 0, 0)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder": "other"}, "its encoder is a-test-encoder, not other"),
        ({"normaliser": Normaliser(100.0, 40.0)}, "its normaliser is .*128.0.*, not .*100.0"),
        ({"frame": Frame((30.0, 4.0, 4.0))}, "its frame is .*8.0.*, not .*4.0"),
    ],
)
def test_another_atlas_in_its_place_is_refused_and_what_differs_is_named(own, change, words):
    other = dataclasses.replace(own.info, **change)
    before = (own.path / "atlas.json").read_bytes()

    with pytest.raises(MismatchError, match=words) as error:
        Atlas.create(own.path, other)

    assert "choose a new --out" in str(error.value)
    assert (own.path / "atlas.json").read_bytes() == before


def test_the_fingerprint_leaves_out_what_is_only_for_people(atlas):
    notes = {"run": "elsewhere", "versions": {"jax": "9"}, "created": "", "attribution": {}}

    same = dataclasses.replace(atlas.info, **notes)
    other = dataclasses.replace(atlas.info, grid=dataclasses.replace(atlas.grid, start=(1, 0, 0)))

    assert same.fingerprint == atlas.info.fingerprint
    assert other.fingerprint != atlas.info.fingerprint


def test_a_folder_with_something_else_is_refused_and_left_alone(atlas, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")

    with pytest.raises(DataError, match="exists and is not an atlas; choose a new --out"):
        Atlas.create(tmp_path, atlas.info)

    assert [child.name for child in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_its_place_is_refused(atlas, tmp_path):
    (tmp_path / "a").write_text("x")

    with pytest.raises(DataError, match="is not an atlas"):
        Atlas.create(tmp_path / "a", atlas.info)
    with pytest.raises(StorageError, match="a part of that path is a file"):
        Atlas.create(tmp_path / "a" / "b", atlas.info)


def test_what_a_killed_first_write_left_is_no_hindrance(atlas, tmp_path):
    (tmp_path / ".atlas.json.x7f2k").write_text('{"half')

    assert Atlas.create(tmp_path, atlas.info).info == atlas.info


def test_an_atlas_killed_before_its_array_was_made_goes_on(own):
    (own.path / "embeddings.zarr" / "zarr.json").unlink()

    again = Atlas.open(own.path)

    assert again.store.cells == own.store.cells


@pytest.mark.parametrize("folder", [".", "nowhere"])
def test_a_folder_without_an_atlas_is_not_found(tmp_path, folder):
    with pytest.raises(NotFoundError, match=r"no description of an atlas at .*atlas\.json"):
        Atlas.open(tmp_path / folder)


def test_a_description_that_is_not_json_is_refused(own):
    (own.path / "atlas.json").write_text('{"format": 1, "gri')

    with pytest.raises(DataError, match=r"atlas\.json is damaged: it is not JSON"):
        Atlas.open(own.path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_refused(own, version):
    damage(own, format=version)

    with pytest.raises(DataError, match=r"atlas\.json is not of atlas format 1"):
        Atlas.open(own.path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"embedding_dim": "many"}, "embedding_dim"),
        ({"grid": {"start": [0, 0, 0]}}, r"grid\.fov"),
        ({"frame": {"voxel_size_nm": [0, 1, 1]}}, "frame: .*three positive lengths"),
    ],
)
def test_a_damaged_description_is_refused_and_the_place_is_named(own, changes, words):
    damage(own, **changes)

    with pytest.raises(DataError, match=rf"atlas\.json is damaged: .*{words}"):
        Atlas.open(own.path)


def test_damaged_metadata_of_the_array_are_refused(own):
    (own.path / "embeddings.zarr" / "zarr.json").write_text("")

    with pytest.raises(DataError, match=r"embeddings\.zarr is not the array that belongs there"):
        Atlas.open(own.path)


def test_a_half_written_atlas_is_refused_and_how_to_go_on_is_said(own):
    own.ledger.record((0, 0, 0), Mark("void", "", 512, 512))
    own.ledger.record((0, 0, 1), Mark("failed", reason="cut short"))

    with pytest.raises(IncompleteError) as error:
        own.require_complete()

    assert "'own' has 1 of 8 shards (1 failed)" in str(error.value)
    assert f"voxkin embed runs/test --out {own.path}" in str(error.value)


def test_ids_and_positions_go_there_and_back(atlas):
    ids = np.arange(atlas.grid.size)

    np.testing.assert_array_equal(atlas.ids_at(atlas.positions_nm_xyz(ids)), ids)


def test_positions_are_xyz_nanometres_of_the_centres(atlas):
    first, second, row = atlas.positions_nm_xyz(np.array([0, 1, 11]))

    z, y, x = (np.array(VOXEL_NM) * atlas.grid.fov / 2).tolist()
    np.testing.assert_allclose(first, [x, y, z])
    np.testing.assert_allclose(second - first, [STRIDE[2] * VOXEL_NM[2], 0, 0])
    np.testing.assert_allclose(row - first, [0, STRIDE[1] * VOXEL_NM[1], 0])
    low, high = atlas.extent_nm_xyz
    np.testing.assert_allclose(low, first)
    np.testing.assert_allclose(np.subtract(high, low), [10 * 32, 9 * 32, 8 * 60])


@pytest.mark.parametrize(
    "position", [(-500.0, 200.0, 200.0), (200.0, 200.0, 9e9), (200.0, float("nan"), 200.0)]
)
def test_a_position_outside_is_refused_with_the_range_in_xyz_nanometres(atlas, position):
    inside = atlas.positions_nm_xyz(np.array([5]))[0]
    low, high = (f"({x:g}, {y:g}, {z:g})" for x, y, z in atlas.extent_nm_xyz)

    with pytest.raises(OutOfBoundsError) as error:
        atlas.ids_at(np.array([inside, position]))

    asked = "({:g}, {:g}, {:g})".format(*position)
    assert f"asked for xyz = {asked} nm" in str(error.value)
    assert f"run from {low} to {high} nm (XYZ)" in str(error.value)


def test_embeddings_are_those_of_the_cells_of_the_ids(atlas):
    ids = np.array([atlas.grid.size - 1, 600, 0])

    found = atlas.embeddings(ids)

    whole = atlas.store.read(atlas.store.cells).reshape(-1, 4)
    np.testing.assert_array_equal(found, whole[ids])
    assert not found[2].any()
    np.testing.assert_allclose(np.linalg.norm(found[:2], axis=1), 1, atol=2e-3)


def test_an_id_that_is_not_of_the_atlas_is_refused(atlas):
    with pytest.raises(OutOfBoundsError, match="no location 990: ids run from 0 to 989"):
        atlas.embeddings(np.array([990]))


def test_the_shards_are_as_they_were_asked_for(atlas):
    assert atlas.store.shard == SHARD
