"""Spatially separated retrieval against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.evaluation.retrieval import far_enough, separated


def by_hand(similarity, places, k, separation):
    kept = []
    for i in sorted(range(len(similarity)), key=lambda i: (-similarity[i], i)):
        if all(np.linalg.norm(places[i] - places[j]) >= separation for j in kept):
            kept.append(i)
        if len(kept) == k:
            break
    return kept


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), k=st.integers(1, 30), separation=st.sampled_from([0.0, 80.0, 200.0])
)
def test_hits_are_those_of_a_plain_loop(seed, k, separation):
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 8, (60, 3)) * 80.0
    similarity = rng.integers(0, 20, 60) / 20  # with ties

    found = separated(similarity, places, k, separation)

    assert found.tolist() == by_hand(similarity, places, k, separation)


def test_the_whole_gallery_is_considered_where_the_best_lie_too_close_together():
    places = np.zeros((3000, 3))
    places[2500:] = np.arange(500)[:, None] * 1000.0 + 1000
    similarity = np.linspace(1, 0, 3000)

    found = separated(similarity, places, 3, 100.0)

    assert found.tolist() == [0, 2500, 2501]


@pytest.mark.parametrize(
    ("place", "allowed"),
    [((0, 0, 330), True), ((0, 0, 320), False), ((320, 320, 0), False), ((0, 400, 10), True)],
)
def test_a_hit_shares_no_voxel_with_the_query_and_keeps_its_distance(place, allowed):
    found = far_enough(np.zeros(3), np.array([place], float), (330.0, 330.0, 330.0), 330.0)

    assert found.tolist() == [allowed]
