"""Tests of serve/clusters/placing.py."""

import numpy as np
import pytest

from embed.errors import DataError, NotFoundError
from serve.clusters.placing import Placer
from serve.clusters.projection import load_projection
from serve.clusters.table import Points
from serve.locations import unit


@pytest.fixture(scope="module")
def placer(mapped):
    return Placer.open(mapped)


def test_points_of_the_map_are_placed_where_they_are(mapped, placer):
    points = load_projection(mapped).points

    xy, clusters = placer.place(mapped.embeddings(points.ids))

    np.testing.assert_allclose(xy, points.xy, atol=0.05)
    np.testing.assert_array_equal(clusters, points.clusters)
    assert (xy.dtype, clusters.dtype) == (np.float32, np.int64)


def test_others_join_the_cluster_of_their_kind(mapped, placer):
    points = load_projection(mapped).points
    others = np.setdiff1d(np.arange(mapped.grid.size), points.ids)
    vectors, has_data = unit(mapped.embeddings(others))

    xy, clusters = placer.place(vectors)

    of_kind = {}
    for kind, cluster in zip(vectors[has_data].argmax(axis=1), clusters[has_data], strict=True):
        of_kind.setdefault(int(kind), set()).add(int(cluster))
    assert sorted(of_kind.values(), key=min) == [{0}, {1}, {2}]
    for cluster in range(3):
        box = points.xy[points.clusters == cluster]
        placed = xy[clusters == cluster]
        assert (placed >= box.min(axis=0)).all()
        assert (placed <= box.max(axis=0)).all()


def test_what_has_no_data_is_nowhere(placer):
    xy, clusters = placer.place(np.zeros((2, 8), np.float32))

    assert np.isnan(xy).all()
    np.testing.assert_array_equal(clusters, [-1, -1])


def test_the_length_of_a_vector_does_not_matter(mapped, placer):
    vectors = mapped.embeddings(load_projection(mapped).points.ids[:9])

    np.testing.assert_allclose(placer.place(vectors)[0], placer.place(7 * vectors)[0], rtol=1e-3)


def test_no_vectors_are_no_places(placer):
    xy, clusters = placer.place(np.empty((0, 8), np.float32))

    assert (xy.shape, clusters.shape) == ((0, 2), (0,))


def test_a_place_never_lies_between_two_clusters():
    vectors, _ = unit(np.array([[1, 0.1], [1, 0.2], [1, -0.1], [1, 0.15]], np.float32))
    xy = np.array([[0, 0], [0, 1], [9, 9], [0, 2]], np.float32)
    points = Points(np.arange(4), np.zeros((4, 3)), xy, np.array([0, 0, 1, 0]))

    placed, clusters = Placer(vectors, points).place(np.array([[1, 0.05]], np.float32))

    assert clusters.tolist() == [0]
    assert placed[0, 0] == 0


def test_nearly_all_of_many_places_come_to_the_same_cluster_as_by_comparing_with_all():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 16))
    kinds = rng.integers(12, size=6000)
    made = centres[kinds] + 0.9 * rng.normal(size=(6000, 16))
    vectors, _ = unit(made.astype(np.float32))
    points = Points(
        np.arange(4000), np.zeros((4000, 3)), np.zeros((4000, 2), np.float32), kinds[:4000]
    )

    _, placed = Placer(vectors[:4000], points).place(vectors[4000:])

    near = np.argsort(-(vectors[4000:] @ vectors[:4000].T), axis=1)[:, :8]
    exact = [np.bincount(kinds[row]).argmax() for row in near]
    assert (placed == exact).mean() > 0.97


def test_the_neighbours_of_points_are_the_likest_but_themselves(mapped, placer):
    points = load_projection(mapped).points
    vectors, _ = unit(mapped.embeddings(points.ids))
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -2)

    similarities, rows = placer.neighbours(5)

    np.testing.assert_allclose(similarities, -np.sort(-alike, axis=1)[:, :5], atol=1e-5)
    assert not (rows == np.arange(len(rows))[:, None]).any()


def test_a_vector_that_is_not_finite_is_refused(placer):
    with pytest.raises(DataError, match="not finite"):
        placer.place(np.full((1, 8), np.nan, np.float32))


def test_an_atlas_without_a_map_is_refused_with_the_command(atlas):
    with pytest.raises(NotFoundError, match="voxkin project"):
        Placer.open(atlas)
