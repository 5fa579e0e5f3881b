"""Tests of embed/probing: what a trained probe says of places it never saw."""

import dataclasses

import numpy as np
import pytest

from embed.errors import ConfigError, DataError
from embed.probe import Origin
from embed.probing.calibration import calibration_errors, fit_slopes
from embed.probing.class_prior import estimate
from embed.probing.linear import class_weights, probabilities_of
from embed.probing.training import Examples, train_probe
from tests.embed.probing.examples import draw, named

ORIGIN = Origin("mito", "an-atlas", "an-encoder")


@pytest.fixture(scope="module")
def volume():
    """A volume in which the third class is rare: 1850, 950 and 200 places."""
    return draw((1850, 950, 200), seed=1)


@pytest.fixture(scope="module")
def probe(volume):
    """A probe of forty labels of each class."""
    vectors, numbers = draw((40, 40, 40))
    examples = Examples.of_one_class_each(vectors, named(numbers))
    return train_probe(examples, ORIGIN, sample=volume[0])


def test_the_shares_of_the_volume_are_found_without_labels(probe):
    assert probe.prior.source == "estimated"
    assert probe.prior.sample == 3000
    assert list(probe.prior.shares.values()) == pytest.approx([0.617, 0.317, 0.067], abs=0.03)


def test_probabilities_with_the_shares_of_the_volume_come_true_more_often(probe, volume):
    vectors, truth = volume
    even = dataclasses.replace(probe, shifts=np.zeros(3))

    found, without = (p.probabilities(vectors)[np.arange(len(truth)), truth] for p in (probe, even))

    assert np.log(found).mean() > np.log(without).mean() + 0.02
    # As many places are said to be of the rare class as are.
    of_rare, without = (p.probabilities(vectors)[:, 2].sum() for p in (probe, even))
    assert of_rare == pytest.approx(200, rel=0.2)
    assert without > 1.15 * of_rare


def test_classes_are_as_common_as_they_are_said_to_be(volume):
    vectors, numbers = draw((20, 20))
    examples = Examples.of_one_class_each(vectors, named(numbers))
    flat = np.zeros((1, 12))

    given = train_probe(examples, ORIGIN, sample=volume[0], prior={"class 0": 0.9})
    none = train_probe(examples, ORIGIN, sample=volume[0], prior="none")

    assert given.prior.shares == {"class 0": 0.9, "class 1": pytest.approx(0.1)}
    assert (given.prior.source, none.prior.source) == ("given", "none")
    odds = [p.probabilities(flat)[0] for p in (given, none)]
    assert odds[0][0] / odds[0][1] == pytest.approx(9 * odds[1][0] / odds[1][1], rel=1e-4)
    assert none.prior.shares == {"class 0": 0.5, "class 1": 0.5}


def test_labels_that_mean_nothing_leave_classes_as_common_as_each_other(volume):
    vectors, numbers = draw((40, 40))
    shuffled = np.random.default_rng(1).permutation(numbers)
    examples = Examples.of_one_class_each(vectors, named(shuffled))

    probe = train_probe(examples, ORIGIN, sample=volume[0])

    assert list(probe.prior.shares.values()) == pytest.approx([0.5, 0.5], abs=0.1)


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        ({"class 9": 0.5}, "'class 9'; the classes are class 0, class 1, class 2"),
        ({"class 0": 0.5}, "no share is given for 'class 1'"),
        ({"class 0": 0.5, "class 1": 0.6}, "above 0 and below 1"),
        ({"class 0": 0.5, "class 1": 0.1, "class 2": 0.1}, "add up to 1"),
        ({"class 0": -0.5, "class 1": 0.9, "class 2": 0.6}, "above 0 and below 1"),
    ],
)
def test_shares_that_are_none_are_refused(prior, said):
    vectors, numbers = draw((3, 3, 3))

    with pytest.raises(ConfigError, match=said):
        train_probe(Examples.of_one_class_each(vectors, named(numbers)), ORIGIN, prior=prior)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_shares_are_those_of_the_places_where_the_probe_is_certain(kind):
    logits = np.repeat(np.array([[9.0, -9], [-9, 9]]), (90, 10), axis=0)

    assert estimate(kind, logits) == pytest.approx([0.9, 0.1], abs=0.02)


def test_boastful_logits_are_flattened_until_they_come_true():
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(2000, 2)) * 2
    truth = (rng.random(2000) < probabilities_of("multiclass", honest)[:, 1]).astype(int)
    targets = np.eye(2, dtype=np.int8)[truth]
    folds = np.array_split(np.arange(2000), 4)

    slopes = fit_slopes("multiclass", 4 * honest, targets)
    before, after = calibration_errors("multiclass", 4 * honest, targets, folds)

    assert slopes == pytest.approx([0.25, 0.25], rel=0.1)
    assert after < 0.03 < 0.1 < before


def test_of_a_handful_of_labels_calibration_says_little():
    logits = np.array([[3.0, -3], [-3, 3], [2, -2]])

    slopes = fit_slopes("multiclass", logits, np.eye(2, dtype=np.int8)[[0, 1, 0]])

    assert slopes == pytest.approx([1, 1], abs=0.1)


def test_a_class_that_was_never_labelled_is_called_unknown(probe, volume):
    known, _ = draw((100, 100, 100), seed=5)
    strange, _ = draw((0, 0, 0, 300), seed=5)

    familiar, unknown = probe.unknown(known), probe.unknown(strange)

    assert 0.3 < familiar.mean() < 0.7
    assert unknown.mean() > 0.9
    assert min(familiar.min(), unknown.min()) >= 0
    assert max(familiar.max(), unknown.max()) <= 1


def test_the_learning_curve_rises_to_the_score(probe):
    counts = [point.labels for point in probe.curve]

    assert counts == [5, 10, 25, 50, 96]
    assert probe.curve[0].score < probe.curve[-1].score
    assert probe.curve[-1].score == pytest.approx(probe.scores.balanced_accuracy, abs=0.01)
    assert all(0 < point.deviation < 0.3 for point in probe.curve)


def test_embeddings_are_brought_to_the_scale_of_the_volume_not_of_its_labels(probe, volume):
    np.testing.assert_allclose(probe.mean, volume[0].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(probe.scale, volume[0].std(axis=0), rtol=1e-5)


@pytest.fixture(scope="module")
def both():
    """Places that are of class 0, of class 1, of both or of none; of some not all was said."""
    vectors = draw((60, 60), spread=0.3)[0]
    centre = draw((1, 1), spread=0.0)[0].astype(float)
    rng = np.random.default_rng(3)
    rest = np.repeat([centre.sum(axis=0), -centre.sum(axis=0)], 60, axis=0)
    rest = rest + 0.3 * rng.normal(size=rest.shape)
    rows = np.concatenate([vectors, rest / np.linalg.norm(rest, axis=1, keepdims=True)])
    targets = np.repeat(np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.int8), 60, axis=0)
    hidden = targets.copy()
    hidden[::3, 1] = -1
    return rows, targets, hidden


def test_classes_that_are_decided_alone_may_both_be_there(both):
    rows, targets, hidden = both
    examples = Examples("multilabel", ("a", "b"), rows, hidden, np.arange(240))

    probe = train_probe(examples, ORIGIN, sample=rows)

    found = probe.probabilities(rows)
    assert ((found > 0.5) == targets).mean() > 0.9
    assert found[120:180].sum(axis=1).mean() > 1.6
    assert probe.labels == {"a": 120, "b": 80}
    assert list(probe.prior.shares.values()) == pytest.approx([0.5, 0.5], abs=0.06)
    assert probe.scores.balanced_accuracy > 0.9
    assert probe.curve[-1].score > 0.9
    # Alone, a class gains along its own weights, whatever those of the others.
    np.testing.assert_allclose(probe.direction(1), probe.weights[1] / probe.scale)


def test_a_class_alone_needs_places_that_are_not_of_it(both):
    rows = both[0][:60]
    examples = Examples("multilabel", ("a",), rows, np.ones((60, 1), np.int8), np.arange(60))

    with pytest.raises(DataError, match="two that are not; got a: 60"):
        train_probe(examples, ORIGIN)


def test_classes_weigh_alike_and_what_was_not_said_weighs_nothing():
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.int8)

    assert class_weights("multiclass", targets)[:, 0] == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    targets[0] = -1
    assert class_weights("multilabel", targets)[:, 0] == pytest.approx([0, 3 / 4, 3 / 4, 3 / 2])
