"""Tests of serve/probes.py."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.errors import (
    DataError,
    IncompleteError,
    MismatchError,
    NotFoundError,
    OutOfBoundsError,
    RequestError,
)
from serve.labels import LabelTable
from serve.probes import (
    Teaching,
    list_probes,
    load_probe,
    probe_versions,
    roll_back,
    sample_of,
    train_atlas_probe,
)
from serve.probing.versions import keep_version
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
    train_atlas_probe(other, _labels(other), "mito")
    (other.path / "probes").rename(atlas.path / "probes")

    with pytest.raises(MismatchError, match="encoder another-encoder"):
        load_probe(atlas, "mito")


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


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """An atlas with a probe of two versions, of 60 labels and of 30; not to be changed."""
    atlas = make_atlas(tmp_path_factory.mktemp("taught") / "a")
    for count in (60, 30):
        train_atlas_probe(atlas, _labels(atlas, count), "mito", Teaching(labels=f"{count} clicks"))
    return atlas


def test_training_again_keeps_the_earlier_version(taught):
    first, second = probe_versions(taught, "mito")

    assert (first.version, second.version) == (1, 2)
    assert [sum(probe.labels.values()) for probe in (first, second)] == [60, 30]
    np.testing.assert_array_equal(load_probe(taught, "mito").weights, second.weights)
    np.testing.assert_array_equal(load_probe(taught, "mito", 1).weights, first.weights)
    with pytest.raises(NotFoundError, match="has no version 3; it has: 1, 2"):
        load_probe(taught, "mito", 3)


def test_a_probe_says_what_it_was_taught_by(taught):
    probe = load_probe(taught, "mito")

    assert probe.origin.labels == "30 clicks"
    assert probe.origin.sets == ()
    assert probe.places.tolist() == taught.ids_at(_labels(taught, 30).positions_nm_xyz).tolist()
    assert probe.prior.sample == len(sample_of(taught).ids) == taught.grid.size - 64


@pytest.fixture
def own(taught, tmp_path):
    """A copy of that atlas that a test may change."""
    return Atlas.open(Path(shutil.copytree(taught.path, tmp_path / "a")))


def test_rolling_back_puts_a_copy_of_an_earlier_version_in_use(own):
    back = roll_back(own, "mito")

    used = load_probe(own, "mito")
    assert (back.version, back.restored, used.version) == (3, 1, 3)
    np.testing.assert_array_equal(used.weights, load_probe(own, "mito", 1).weights)
    assert [probe.version for probe in probe_versions(own, "mito")] == [1, 2, 3]
    with pytest.raises(RequestError, match="nothing was trained before version 1"):
        roll_back(own, "mito")
    with pytest.raises(RequestError, match="version 1 of probe 'mito' is in use already"):
        roll_back(own, "mito", 1)
    with pytest.raises(NotFoundError, match="no version 9; it has: 1, 2, 3"):
        roll_back(own, "mito", 9)
    assert roll_back(own, "mito", 2).version == 4


def test_a_probe_from_before_there_were_versions_is_the_first(own):
    folder = own.path / "probes" / "mito"
    (folder / "2.json").unlink()
    (folder / "1.json").rename(folder.with_suffix(".json"))

    alone = load_probe(own, "mito")
    again = train_atlas_probe(own, _labels(own, 30), "mito")

    assert (alone.version, again.version) == (1, 2)
    assert [probe.version for probe in list_probes(own)] == [2]
    assert roll_back(own, "mito").restored == 1


def test_probes_that_are_kept_at_the_same_time_become_versions_of_their_own(own):
    probe = load_probe(own, "mito")

    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(lambda _: keep_version(own, probe).version, range(12)))

    assert sorted(kept) == list(range(3, 15))
    assert sorted(p.name for p in (own.path / "probes" / "mito").iterdir()) == sorted(
        f"{n}.json" for n in range(1, 15)
    )


def test_classes_of_two_sets_are_decided_alone_each_from_its_own_places(atlas):
    structures, counted = _labels(atlas, 40), _labels(atlas, 40, seed=1)
    sides = LabelTable(
        counted.positions_nm_xyz,
        tuple("left" if x < 300 else "right" for x in counted.positions_nm_xyz[:, 0]),
    )

    probe = train_atlas_probe(atlas, {"structures": structures, "sides": sides}, "both")

    assert probe.kind == "multilabel"
    assert probe.classes == ("axon", "mito", "left", "right")
    assert probe.origin.sets == ("structures", "sides")
    assert probe.labels["axon"] + probe.labels["mito"] == 40
    found = probe.probabilities(sample_of(atlas).vectors[:50])
    np.testing.assert_allclose(found[:, 0] + found[:, 1], 1, atol=0.1)
    with pytest.raises(RequestError, match="class 'axon' is in two of the sets one, two"):
        train_atlas_probe(atlas, {"one": structures, "two": structures}, "twice")


def test_a_place_may_have_several_labels_where_classes_are_decided_alone(atlas):
    table = _labels(atlas, 40)
    positions = np.concatenate([table.positions_nm_xyz, table.positions_nm_xyz[:10]])
    twice = LabelTable(positions, table.labels + ("stained",) * 10)

    probe = train_atlas_probe(atlas, twice, "many", Teaching(kind="multilabel"))

    assert probe.labels == {
        "axon": table.labels.count("axon"),
        "mito": table.labels.count("mito"),
        "stained": 10,
    }
    assert len(probe.places) == 40


def test_an_unfinished_atlas_is_refused(atlas):
    atlas.ledger.forget((1, 1, 1))

    with pytest.raises(IncompleteError, match="7 of 8 shards"):
        train_atlas_probe(atlas, _labels(atlas), "mito")
