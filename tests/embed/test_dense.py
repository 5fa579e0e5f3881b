"""Tests of embed/dense.py: one embedding, whichever block it is computed in."""

import numpy as np
import pytest

from embed.dense import embed_at, embed_cutout, embed_grid
from embed.errors import DataError, OutOfBoundsError
from embed.geometry import Box
from embed.normaliser import Normaliser, measure


@pytest.fixture(scope="module")
def grid_and_embeddings(encoder, tissue_volume):
    return embed_grid(encoder, tissue_volume)


def test_single_places_have_the_embeddings_of_the_dense_run(
    encoder, tissue_volume, grid_and_embeddings
):
    grid, dense = grid_and_embeddings
    cells = np.array([[0, 0, 0], [16, 20, 24], [7, 3, 19], [8, 16, 1]])

    alone = embed_at(encoder, tissue_volume, grid.centres(cells))

    np.testing.assert_allclose(alone, dense[tuple(cells.T)], rtol=1e-4, atol=1e-6)


def test_a_cut_out_has_the_embeddings_of_the_dense_run(encoder, tissue_volume, grid_and_embeddings):
    _, dense = grid_and_embeddings
    box = Box.of_shape((11, 13, 9), start=(4, 8, 12))

    part = embed_cutout(encoder, tissue_volume.read(box), measure(tissue_volume))

    assert part.shape == (3, 4, 2, 8)
    np.testing.assert_allclose(part, dense[2:5, 4:8, 6:8], rtol=1e-4, atol=1e-6)


def test_a_box_of_the_volume_is_embedded_as_it_is_in_the_whole(
    encoder, tissue_volume, grid_and_embeddings
):
    _, dense = grid_and_embeddings

    grid, part = embed_grid(encoder, tissue_volume, Box((2, 4, 6), (40, 40, 50)), (4, 2, 2))

    assert grid.start == (2, 4, 6)
    np.testing.assert_allclose(part, dense[1:17:2, 2:17, 3:22], rtol=1e-4, atol=1e-6)


def test_every_embedding_has_length_one(grid_and_embeddings):
    lengths = np.linalg.norm(grid_and_embeddings[1], axis=-1)

    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_a_cut_out_below_the_field_of_view_is_refused_with_both_sizes(encoder):
    small = np.zeros((7, 7, 6), np.uint8)

    with pytest.raises(OutOfBoundsError, match=r"\(7, 7, 6\).*at least \(7, 7, 7\)"):
        embed_cutout(encoder, small, Normaliser(0.0, 1.0))


def test_a_cut_out_with_nan_is_refused(encoder):
    bad = np.full((7, 7, 7), np.nan, np.float32)

    with pytest.raises(DataError, match="NaN"):
        embed_cutout(encoder, bad, Normaliser(0.0, 1.0))


def test_a_place_whose_field_of_view_leaves_the_volume_is_refused(encoder, tissue_volume):
    with pytest.raises(OutOfBoundsError, match="leaves"):
        embed_at(encoder, tissue_volume, np.array([[1.0, 20.0, 20.0]]))
