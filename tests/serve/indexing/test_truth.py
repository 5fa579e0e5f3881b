"""Tests of serve/indexing/truth.py."""

import numpy as np
import pytest

from embed.errors import DataError
from serve.indexing.truth import ExactNeighbours
from serve.locations import Locations, sample_locations
from tests.serve.brute import everything


def test_the_neighbours_are_those_of_brute_force_without_the_surroundings(atlas, tmp_path):
    ids, vectors, places = everything(atlas)
    queries = sample_locations(atlas, 20, 0)
    truth = ExactNeighbours(atlas, queries)

    for some in np.array_split(np.random.default_rng(0).permutation(len(ids)), 3):
        truth.update(Locations(ids[some], vectors[some]))

    apart = np.linalg.norm(places - atlas.positions_nm_xyz(queries.ids)[:, None], axis=2)
    cosines = np.where(apart < 150, -np.inf, queries.vectors @ vectors.T)
    expected = np.sort(cosines, axis=1)[:, -10:]
    np.testing.assert_allclose(np.sort(truth.best, axis=1), expected, atol=1e-6)
    truth.save(tmp_path / "truth.npz")
    np.testing.assert_array_equal(
        ExactNeighbours.load(atlas, tmp_path / "truth.npz").best, truth.best
    )


def test_a_damaged_file_is_said(atlas, tmp_path):
    (tmp_path / "truth.npz").write_bytes(b"PK")

    with pytest.raises(DataError, match=r"truth\.npz is damaged"):
        ExactNeighbours.load(atlas, tmp_path / "truth.npz")
