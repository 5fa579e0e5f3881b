"""Controls against plain numpy."""

import numpy as np

from embed.evaluation.controls import MEAN, PCA, principal_components, raw_controls
from embed.evaluation.places import Places


def noisy_places(count=300):
    rng = np.random.default_rng(0)
    grey = rng.normal(100, 20, (20, 30, 30)).astype(np.float32)
    starts = rng.integers(0, (15, 25, 25), (count, 3))
    return grey, Places(starts, (5, 5, 5))


def test_mean_intensity_is_the_mean_of_the_field_of_view():
    grey, places = noisy_places(5)

    found = raw_controls(grey, places, np.arange(5))[MEAN].values

    expected = [grey[window].mean() for window in places.windows()]
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)


def test_principal_components_span_what_an_exact_decomposition_spans():
    grey, places = noisy_places()
    # Three strong directions, so that they are well separated from the rest.
    rng = np.random.default_rng(1)
    patterns = rng.normal(size=(3, 125))
    for i, window in enumerate(places.windows()[::17]):
        grey[window] += (rng.normal(size=3) * 50 @ patterns).reshape(5, 5, 5) * (i + 1) / 10

    found = principal_components(grey, places, np.arange(len(places)))

    rows = np.stack([grey[w].ravel() for w in places.windows()])
    rows = rows - rows.mean(axis=0)
    u, s, _ = np.linalg.svd(rows, full_matrices=False)
    exact = u[:, :3] * s[:3]
    cosines = np.abs((found[:, :3] * exact).sum(0)) / np.linalg.norm(found[:, :3], axis=0)
    np.testing.assert_allclose(cosines / np.linalg.norm(exact, axis=0), 1, atol=1e-2)


def test_principal_components_are_found_without_the_places_they_may_not_see():
    grey, places = noisy_places()
    allowed = np.arange(150)
    hidden = np.ones(grey.shape, bool)
    for window in places.take(allowed).windows():
        hidden[window] = False
    other = np.where(hidden, -grey, grey)

    one, two = (principal_components(v, places, allowed)[allowed] for v in (grey, other))

    np.testing.assert_array_equal(one, two)


def test_there_are_no_more_components_than_places_to_find_them_on():
    grey, places = noisy_places(20)

    found = raw_controls(grey, places, np.arange(10))[PCA].values

    assert found.shape == (20, 10)
