"""Tests of embed/probe.py, embed/penalty.py and embed/probing/training.py."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from embed.errors import DataError, NotFoundError
from embed.penalty import spatial_blocks
from embed.probe import Origin, read_probe, write_probe
from embed.probing.training import Examples, train_probe

ORIGIN = Origin("mito", "an-atlas", "an-encoder")


def _trained(vectors, labels, parts=None, **how):
    return train_probe(Examples.of_one_class_each(vectors, labels, parts), ORIGIN, **how)


def _examples(classes, each=30, dim=12, spread=0.6, seed=0):
    """Unit vectors around one direction per class, and their labels."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, dim))
    numbers = np.repeat(np.arange(classes), each)
    vectors = centres[numbers] + spread * rng.normal(size=(len(numbers), dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), [f"class {n}" for n in numbers]


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_probabilities_are_those_of_scikit_learn(classes):
    vectors, labels = _examples(classes)

    probe = _trained(vectors, labels)

    regression = LogisticRegression(C=probe.c, class_weight="balanced", max_iter=10_000, tol=1e-6)
    reference = make_pipeline(StandardScaler(), regression).fit(vectors.astype(float), labels)
    plain = dataclasses.replace(probe, slopes=np.ones(classes))
    probabilities = plain.probabilities(vectors)
    np.testing.assert_allclose(probabilities, reference.predict_proba(vectors), atol=1e-3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert probabilities.dtype == np.float32
    assert probe.classes == tuple(reference.classes_)


def test_it_recognises_places_that_it_was_not_trained_on():
    vectors, labels = _examples(3, spread=0.3)
    others, truth = vectors[1::2], labels[1::2]
    vectors, labels = vectors[::2], labels[::2]

    probe = _trained(vectors, labels)

    guessed = np.array(probe.classes)[probe.probabilities(others).argmax(axis=1)]
    assert (guessed == truth).mean() > 0.95
    assert probe.scores.balanced_accuracy > 0.95
    assert probe.scores.f1 > 0.95
    assert min(probe.scores.average_precision.values()) > 0.95
    assert probe.scores.folds == 5
    assert probe.labels == {"class 0": 15, "class 1": 15, "class 2": 15}


def test_labels_that_mean_nothing_score_at_chance():
    vectors, labels = _examples(2, each=60)
    shuffled = list(np.random.default_rng(1).permutation(labels))

    probe = _trained(vectors, shuffled)

    assert 0.35 < probe.scores.balanced_accuracy < 0.65
    assert probe.c <= 0.01


def test_scores_come_from_parts_of_space_that_were_left_out():
    rng = np.random.default_rng(0)
    parts = np.repeat(np.arange(20), 10)
    # Every part has a look of its own and a class by chance: only its own labels give it away.
    looks = rng.normal(size=(20, 16))[parts] + 0.05 * rng.normal(size=(200, 16))
    labels = [f"class {n}" for n in (np.arange(20) % 2)[parts]]

    parted = _trained(looks, labels, parts=parts)
    mixed = _trained(looks, labels)

    assert mixed.scores.balanced_accuracy > 0.95
    assert parted.scores.balanced_accuracy < 0.8


def test_a_rare_class_weighs_as_much_as_a_common_one():
    vectors, labels = _examples(2, each=200, spread=1.5)
    few = np.r_[0:200, 200:210]

    probe = _trained(vectors[few], [labels[n] for n in few])

    guessed = probe.probabilities(vectors).argmax(axis=1)
    assert 0.25 < guessed.mean() < 0.75


def test_without_a_second_part_of_space_there_are_no_scores_but_there_is_a_probe():
    vectors, labels = _examples(2, each=5)

    probe = _trained(vectors, labels, parts=np.zeros(10, np.int64))

    assert probe.scores is None
    assert "one part of space" in probe.unscored
    assert probe.probabilities(vectors).shape == (10, 2)


@pytest.mark.parametrize(
    ("labels", "got"),
    [([], "none"), (["a"] * 4, "a: 4"), (["a", "a", "a", "b"], "a: 3, b: 1")],
)
def test_too_few_labels_are_refused_with_what_is_needed(labels, got):
    with pytest.raises(DataError, match=f"two labelled places or more each; got {got}"):
        _trained(np.ones((len(labels), 4), np.float32), labels)


def test_the_same_seed_gives_the_same_probe():
    vectors, labels = _examples(3)

    first, again = (_trained(vectors, labels, seed=4) for _ in range(2))

    np.testing.assert_array_equal(first.weights, again.weights)
    assert first.scores == again.scores


def test_a_number_that_never_changes_does_no_harm():
    vectors, labels = _examples(2)
    vectors[:, 3] = 0.25

    probe = _trained(vectors, labels)

    assert np.isfinite(probe.probabilities(vectors)).all()


def test_what_is_written_reads_back_the_same(tmp_path):
    vectors, labels = _examples(3)
    probe = _trained(vectors, labels)

    write_probe(tmp_path / "mito.json", probe)

    found = read_probe(tmp_path / "mito.json")
    np.testing.assert_array_equal(found.probabilities(vectors), probe.probabilities(vectors))
    assert (found.origin, found.classes, found.scores) == (ORIGIN, probe.classes, probe.scores)
    assert (found.labels, found.c, found.created) == (probe.labels, probe.c, probe.created)
    assert (found.prior, found.curve, found.kind) == (probe.prior, probe.curve, probe.kind)
    np.testing.assert_array_equal(found.unknown(vectors), probe.unknown(vectors))


def test_a_probe_of_the_first_format_is_still_read(tmp_path):
    value = {
        "format": 1,
        "origin": {"name": "mito", "atlas": "an-atlas", "encoder": "an-encoder"},
        "classes": ["axon", "mito"],
        "mean": [0.5, 0.0],
        "scale": [2.0, 1.0],
        "weights": [[0.0, 0.0], [4.0, 1.0]],
        "bias": [0.0, -1.0],
        "labels": {"axon": 3, "mito": 4},
        "c": 0.1,
        "scores": {
            "folds": 2,
            "balanced_accuracy": 0.9,
            "f1": 0.8,
            "average_precision": {"axon": 0.7, "mito": 0.6},
        },
        "unscored": "",
        "seed": 0,
        "versions": {},
        "created": "2026-01-01T00:00:00+00:00",
    }
    (tmp_path / "mito.json").write_text(json.dumps(value))

    probe = read_probe(tmp_path / "mito.json")

    sure = 1 / (1 + np.exp(-(4 * (1 - 0.5) / 2 + 3 - 1)))
    found = probe.probabilities(np.array([[1.0, 3.0]]))
    np.testing.assert_allclose(found, [[1 - sure, sure]], rtol=1e-6)
    assert (probe.version, probe.prior.source, probe.scores.f1) == (1, "none", 0.8)
    assert probe.unknown(np.ones((3, 2))).tolist() == [0, 0, 0]


def _without_bias(value):
    del value["bias"]


def _short_mean(value):
    value["mean"].pop()


def _text_as_weight(value):
    value["weights"][0][0] = "heavy"


def _nan(value):
    value["scale"][0] = float("nan")


def _other_format(value):
    value["format"] = 99


def _share_of_nothing(value):
    value["prior"]["shares"] = {}


def _short_distances(value):
    value["novelty"]["within"].pop()


HARMS = [
    _without_bias,
    _short_mean,
    _text_as_weight,
    _nan,
    _other_format,
    _share_of_nothing,
    _short_distances,
]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_probe_is_refused(tmp_path, harm):
    vectors, labels = _examples(2)
    path = tmp_path / "mito.json"
    write_probe(path, _trained(vectors, labels))
    value = json.loads(path.read_text())
    harm(value)
    path.write_text(json.dumps(value))

    with pytest.raises(DataError, match=r"mito.json.*train"):
        read_probe(path)


def test_no_probe_is_said(tmp_path):
    with pytest.raises(NotFoundError, match="no probe at"):
        read_probe(tmp_path / "mito.json")


def test_blocks_are_cubes_of_space():
    positions = np.array([[0, 0, 0], [9, 9, 9], [10, 0, 0], [-1, 0, 0], [19, 5, 5.0]])

    blocks = spatial_blocks(positions, 10.0)

    assert blocks[0] == blocks[1]
    assert blocks[2] == blocks[4]
    assert len({blocks[0], blocks[2], blocks[3]}) == 3
