"""How rows of features are compared."""

import numpy as np

from embed.evaluation.features import Features


def test_embeddings_are_compared_as_they_are():
    rows = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], np.float32)

    found = Features(rows, is_embedding=True).comparable().between(np.arange(3), np.arange(3))

    np.testing.assert_allclose(found, rows @ rows.T, atol=1e-6)


def test_other_rows_are_standardised_so_that_no_unit_decides():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4))
    every = np.arange(50)

    one, two = (
        Features(r).comparable().between(every, every) for r in (rows, rows * [1, 900, 1, 0.1] + 7)
    )

    np.testing.assert_allclose(one, two, atol=1e-4)


def test_scales_come_from_the_reference_alone():
    rows = np.random.default_rng(0).normal(size=(40, 3))
    other = rows.copy()
    other[30:] *= 100
    every = np.arange(20)

    one, two = (Features(r).comparable(slice(20)).between(every, every) for r in (rows, other))

    np.testing.assert_array_equal(one, two)


def test_a_single_column_is_compared_by_distance():
    comparable = Features(np.array([[1.0], [2.0], [4.0]])).comparable()

    alike = comparable.of_pairs(np.array([0, 0]), np.array([1, 2]))

    assert alike[0] > alike[1]
    np.testing.assert_allclose(alike, comparable.between(np.array([0]), np.array([1, 2]))[0])


def test_a_constant_column_says_nothing_and_breaks_nothing():
    rows = np.random.default_rng(0).normal(size=(20, 3))
    rows[:, 1] = 5

    found = Features(rows).comparable().between(np.arange(20), np.arange(20))

    assert np.isfinite(found).all()
