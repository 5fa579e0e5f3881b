"""Pairs, their balance, and the AUC of same against different."""

import numpy as np
import pytest

from embed.evaluation.features import Features
from embed.evaluation.places import Places
from embed.evaluation.verification import auc, draw, fitted_similarity, near_pairs, similarity

FOV = (5, 5, 5)
VOXEL_NM = (10.0, 10.0, 10.0)


def laid_out(bodies=8, each=12, seed=0):
    """Places of some bodies in a box of 60 voxels an edge; body k touches body k + 1."""
    rng = np.random.default_rng(seed)
    body = np.repeat(np.arange(bodies), each)
    places = Places(rng.integers(0, 60, (len(body), 3)), FOV)
    touch = np.abs(np.subtract.outer(np.arange(bodies), np.arange(bodies))) == 1
    return places, body, near_pairs(places, body, touch, VOXEL_NM, 400.0)


def test_pairs_are_near_share_no_voxel_and_come_once():
    places, body, pairs = laid_out()

    expected = set()
    for i in range(len(places)):
        for j in range(i + 1, len(places)):
            apart = np.abs(places.starts[i] - places.starts[j])
            if (apart >= 5).any() and np.linalg.norm(apart) * 10 < 400:
                expected.add((i, j))
    assert set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(pairs.same, body[pairs.first] == body[pairs.second])
    distance = np.abs(body[pairs.first] - body[pairs.second])
    np.testing.assert_array_equal(pairs.touch, distance == 1)


def test_every_body_counts_alike_with_as_many_pairs_within_as_across():
    _, _, pairs = laid_out()

    sample = draw(pairs, np.random.default_rng(0))

    for hard in (True, False):
        part = sample.hard == hard
        same = pairs.same[sample.pairs[part]]
        anchors = sample.anchors[part]
        assert np.bincount(anchors[same]).tolist() == [40] * 8
        assert np.bincount(anchors[~same]).tolist() == [40] * 8
    across = sample.pairs[~pairs.same[sample.pairs]]
    np.testing.assert_array_equal(pairs.touch[across], sample.hard[~pairs.same[sample.pairs]])
    assert all((pairs.bodies[sample.pairs] == sample.anchors[:, None]).any(axis=1))


def test_bodies_without_pairs_of_both_kinds_are_left_out():
    _, _, pairs = laid_out(bodies=8, each=1)

    sample = draw(pairs, np.random.default_rng(0))

    assert sample.bodies(hard=True) == 0
    assert len(sample.pairs) == 0


def test_features_that_name_the_body_score_one_and_noise_scores_a_half():
    _, body, pairs = laid_out()
    sample = draw(pairs, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    telling = Features(np.eye(8)[body], is_embedding=True)
    noise = Features(rng.normal(size=(len(body), 8)))

    scores = [auc(pairs, sample, similarity(f, pairs)[sample.pairs]) for f in (telling, noise)]

    assert scores[0] == {"auc_touching": 1.0, "auc_apart": 1.0, "auc": 1.0}
    assert scores[1] == pytest.approx(dict.fromkeys(scores[0], 0.5), abs=0.1)


@pytest.mark.parametrize("classifier", ["logistic", "forest"])
def test_a_fitted_similarity_carries_over_to_bodies_it_was_not_fitted_on(classifier):
    _, body, pairs = laid_out(bodies=12)
    rng = np.random.default_rng(0)
    # One column in ten says something; plain similarity drowns in the rest.
    rows = rng.normal(size=(len(body), 10))
    rows[:, 3] = rng.permutation(12)[body] + rng.normal(0, 0.05, len(body))
    features = Features(rows, classifier=classifier)
    sample = draw(pairs, np.random.default_rng(0))

    fitted = auc(pairs, sample, fitted_similarity(features, pairs, sample, 0))

    plain = auc(pairs, sample, similarity(features, pairs)[sample.pairs])
    assert fitted["auc"] > max(0.85, plain["auc"])


def test_a_fitted_similarity_learns_nothing_from_shuffled_bodies():
    _, body, pairs = laid_out(bodies=12)
    rows = np.random.default_rng(1).normal(size=(len(body), 6))
    sample = draw(pairs, np.random.default_rng(0))

    fitted = fitted_similarity(Features(rows), pairs, sample, 0)

    assert auc(pairs, sample, fitted)["auc"] == pytest.approx(0.5, abs=0.08)
