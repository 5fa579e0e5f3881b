"""Tests of serve/probes.py and serve/maps.py."""

import dataclasses

import numpy as np
import pytest
import tensorstore as ts

from embed.errors import (
    DataError,
    IncompleteError,
    MismatchError,
    NotFoundError,
    OutOfBoundsError,
    RequestError,
)
from embed.volume import open_volume
from serve.labels import LabelTable
from serve.probes import apply_probe, list_probes, load_probe, train_atlas_probe
from tests.atlases import make_atlas


@pytest.fixture
def atlas(tmp_path):
    """An atlas of its own for every test, which writes into it."""
    return make_atlas(tmp_path / "a")


def _labels(atlas, count=60, seed=0):
    """Labels that the first number of an embedding decides, so that a probe can learn them."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.arange(1000, atlas.grid.size), count, replace=False)
    signs = np.sign(atlas.embeddings(ids)[:, 0])
    names = tuple("axon" if sign < 0 else "mito" for sign in signs)
    return LabelTable(atlas.positions_nm_xyz(ids), names)


def _map(path):
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    return ts.open(spec, open=True).result()


def test_a_probe_is_trained_kept_and_found_again(atlas):
    trained = train_atlas_probe(atlas, _labels(atlas), "mito-1")

    found = load_probe(atlas, "mito-1")
    np.testing.assert_array_equal(found.weights, trained.weights)
    assert found.classes == ("axon", "mito")
    assert found.origin.atlas == atlas.info.fingerprint
    assert found.origin.encoder == atlas.info.encoder
    assert sum(found.labels.values()) == 60
    assert found.scores.balanced_accuracy > 0.6


def test_probes_are_listed_by_name(atlas):
    for name in ("b", "a"):
        train_atlas_probe(atlas, _labels(atlas), name)

    assert [probe.name for probe in list_probes(atlas)] == ["a", "b"]


def test_an_atlas_without_probes_lists_none(atlas):
    assert list_probes(atlas) == ()


def test_no_such_probe_is_said_with_those_there_are(atlas):
    train_atlas_probe(atlas, _labels(atlas), "mito")

    with pytest.raises(NotFoundError, match="no probe 'axon' in atlas 'a'; there are: mito"):
        load_probe(atlas, "axon")


@pytest.mark.parametrize("name", ["", "../mito", "Mito", "a b", "x" * 65, "mito.json", "mito\n"])
def test_a_name_that_is_none_is_refused(atlas, name):
    with pytest.raises(RequestError, match="1 to 64 of a-z, 0-9, - and _"):
        train_atlas_probe(atlas, _labels(atlas), name)
    with pytest.raises(RequestError, match="1 to 64 of a-z, 0-9, - and _"):
        load_probe(atlas, name)


def test_the_probe_of_another_encoder_is_refused(atlas, tmp_path):
    other = make_atlas(tmp_path / "b", encoder="another-encoder")
    probe = train_atlas_probe(other, _labels(other), "mito")
    (other.path / "probes").rename(atlas.path / "probes")

    with pytest.raises(MismatchError, match="encoder another-encoder"):
        load_probe(atlas, "mito")
    with pytest.raises(MismatchError, match="encoder another-encoder"):
        apply_probe(atlas, probe)


def test_labels_without_data_outside_or_too_few_are_refused(atlas):
    void = LabelTable(atlas.positions_nm_xyz(np.array([0, 1500, 1600, 1700])), tuple("aabb"))
    outside = LabelTable(np.array([[1e6, 0, 0]]), ("a",))
    few = LabelTable(atlas.positions_nm_xyz(np.array([1500, 1600, 1700])), tuple("aab"))

    with pytest.raises(DataError, match=r"1 of 4 labels lie .* \(68, 68, 75\) nm \(XYZ\)"):
        train_atlas_probe(atlas, void, "mito")
    with pytest.raises(OutOfBoundsError, match="outside atlas 'a'"):
        train_atlas_probe(atlas, outside, "mito")
    with pytest.raises(DataError, match="got a: 2, b: 1"):
        train_atlas_probe(atlas, few, "mito")
    assert not (atlas.path / "probes").exists()


def test_a_map_holds_the_probabilities_of_every_location(atlas):
    probe = train_atlas_probe(atlas, _labels(atlas), "mito")
    seen = []

    summary = apply_probe(atlas, probe, lambda done, total: seen.append((done, total)))

    levels = _map(summary.path).read().result()
    vectors = atlas.store.read(atlas.grid.cells)
    has_data = vectors.any(axis=-1)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True) + (~has_data[..., None])
    expected = probe.probabilities(vectors.reshape(-1, 16)).reshape(*atlas.grid.shape, 2)
    assert levels.dtype == np.uint8
    assert np.abs(levels[has_data] - 255.0 * expected[has_data]).max() <= 0.5001
    assert not levels[~has_data].any()
    assert summary.path == atlas.path / "maps" / "mito.zarr"
    assert summary.voids == 64
    assert summary.locations["mito"] == (expected[has_data].argmax(axis=-1) == 1).sum()
    assert sum(summary.locations.values()) == atlas.grid.size - 64
    assert seen[-1] == (atlas.grid.size, atlas.grid.size)


def test_other_programs_read_from_a_map_what_it_is_and_where_it_lies(atlas):
    summary = apply_probe(atlas, train_atlas_probe(atlas, _labels(atlas), "mito"))

    store = _map(summary.path)
    attributes = store.spec().to_json()["metadata"]["attributes"]
    assert store.domain.labels == ("z", "y", "x", "class")
    assert attributes["classes"] == ["axon", "mito"]
    assert attributes["voxel_size_nm_xyz"] == [32, 32, 60]
    # Half a step before the first centre, which lies at (68, 68, 75) nm.
    assert attributes["origin_nm_xyz"] == [52, 52, 45]
    assert open_volume(summary.path, channel=1).frame.voxel_size_nm == (60, 32, 32)


def test_applying_again_replaces_the_map(atlas):
    probe = train_atlas_probe(atlas, _labels(atlas), "mito")
    apply_probe(atlas, probe)
    turned = dataclasses.replace(probe, weights=-probe.weights, bias=-probe.bias)

    summary = apply_probe(atlas, turned)

    likeliest = _map(summary.path).read().result().argmax(axis=-1)
    assert summary.locations["mito"] == pytest.approx((likeliest == 1).sum(), abs=5)
    assert [p.name for p in (atlas.path / "maps").iterdir()] == ["mito.zarr"]


def test_ending_half_way_leaves_the_old_map_as_it_was(atlas):
    probe = train_atlas_probe(atlas, _labels(atlas), "mito")
    path = apply_probe(atlas, probe).path
    before = _map(path).read().result()
    turned = dataclasses.replace(probe, weights=-probe.weights)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_probe(atlas, turned, stop)

    np.testing.assert_array_equal(_map(path).read().result(), before)
    assert [p.name for p in (atlas.path / "maps").iterdir()] == ["mito.zarr"]


def test_an_unfinished_atlas_is_refused(atlas):
    probe = train_atlas_probe(atlas, _labels(atlas), "mito")
    atlas.ledger.forget((1, 1, 1))

    with pytest.raises(IncompleteError, match="7 of 8 shards"):
        apply_probe(atlas, probe)
    with pytest.raises(IncompleteError, match="7 of 8 shards"):
        train_atlas_probe(atlas, _labels(atlas), "mito")
