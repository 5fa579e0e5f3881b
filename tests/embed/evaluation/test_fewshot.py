"""Draws and probes on few labels."""

import numpy as np
import pytest

from embed.evaluation.fewshot import Probe, draw


def test_a_draw_has_as_many_of_each_class_as_there_are_up_to_the_number_asked():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 20)

    chosen = draw(labels, 10, np.random.default_rng(0))

    assert np.bincount(labels[chosen]).tolist() == [10, 3, 10]
    assert len(np.unique(chosen)) == len(chosen)


@pytest.mark.parametrize("classifier", ["logistic", "forest"])
def test_a_probe_does_not_prefer_the_common_class(classifier):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [400, 40])
    rows = rng.normal(size=(440, 2)) + 3.0 * labels[:, None]

    probe = Probe(classifier, c=0.1, seed=0).fit(rows, labels)

    fresh = np.repeat([0, 1], 200)
    predicted = probe.predict(rng.normal(size=(400, 2)) + 3.0 * fresh[:, None])
    assert abs(predicted.mean() - 0.5) < 0.1


def test_a_logistic_probe_does_not_care_for_the_unit_of_a_column():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 3))
    labels = (rows.sum(axis=1) > 0).astype(int)

    one, two = (
        Probe("logistic", c=0.1, seed=0).fit(r, labels).probabilities(r)
        for r in (rows, rows * [1, 1000, 0.01] + 5)
    )

    np.testing.assert_allclose(one, two, atol=1e-3)
