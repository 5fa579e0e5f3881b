"""Tests of serve/mapping/apply.py and serve/maps.py."""

import dataclasses

import numpy as np
import pytest
import tensorstore as ts

from embed.errors import IncompleteError, MismatchError
from embed.volume import open_volume
from serve.labels import LabelTable
from serve.mapping.apply import apply_probe
from serve.probes import train_atlas_probe
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
    assert {p.name for p in (atlas.path / "maps").iterdir()} == {"mito.zarr", ".mito.zarr.work"}


def test_an_unfinished_atlas_and_the_probe_of_another_encoder_are_refused(atlas, tmp_path):
    other = make_atlas(tmp_path / "b", encoder="another-encoder")
    probe = train_atlas_probe(atlas, _labels(atlas), "mito")
    atlas.ledger.forget((1, 1, 1))

    with pytest.raises(IncompleteError, match="7 of 8 shards"):
        apply_probe(atlas, probe)
    with pytest.raises(MismatchError, match="encoder a-test-encoder"):
        apply_probe(other, probe)


def _stopping(after):
    """Stops a job once it has told so often how far it is."""
    told = []

    def stop(done, total):
        told.append(done)
        if len(told) == after:
            raise KeyboardInterrupt

    return stop


def test_a_run_that_was_stopped_is_gone_on_with_and_makes_the_same(atlas, tmp_path):
    probe = train_atlas_probe(atlas, _labels(atlas), "mito")
    whole = make_atlas(tmp_path / "b")
    expected = apply_probe(whole, probe)
    seen = []

    with pytest.raises(KeyboardInterrupt):
        apply_probe(atlas, probe, _stopping(after=4))
    summary = apply_probe(atlas, probe, lambda done, total: seen.append(done))

    assert len(seen) == 1 + 8 - 3  # how far it was, and the shards that were left
    assert (summary.locations, summary.voids) == (expected.locations, expected.voids)
    np.testing.assert_array_equal(*(_map(s.path).read().result() for s in (summary, expected)))


def test_what_another_probe_left_half_done_is_not_gone_on_with(atlas):
    probe = train_atlas_probe(atlas, _labels(atlas), "mito")
    turned = dataclasses.replace(probe, weights=-probe.weights, bias=-probe.bias)
    seen = []

    with pytest.raises(KeyboardInterrupt):
        apply_probe(atlas, turned, _stopping(after=4))
    apply_probe(atlas, probe, lambda done, total: seen.append(done))

    assert seen[0] == 0


def test_a_map_that_is_there_already_is_left_as_it_is(atlas):
    probe = train_atlas_probe(atlas, _labels(atlas), "mito")
    first = apply_probe(atlas, probe)
    made = (first.path / "zarr.json").stat()

    again = apply_probe(atlas, probe)

    assert again == first
    assert (first.path / "zarr.json").stat() == made
