"""An encoder at the places of a protocol."""

import numpy as np
import pytest

from embed.checkpoint import random_encoder
from embed.dense import embed_at
from embed.encoder import EncoderConfig, Stage
from embed.evaluation import protocol_fib, protocol_luc
from embed.evaluation.candidate import Candidate
from tests.labelled import write_fib, write_luc

TINY = EncoderConfig(
    stages=(Stage(8, (5, 5, 5), (4, 4, 4)), Stage(16, (2, 2, 2))), read=(1,), embedding_dim=8
)


@pytest.fixture(scope="module")
def encoder():
    return random_encoder(TINY, seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write_fib(path)
    write_luc(path)
    return path


@pytest.mark.parametrize("prepare", [protocol_fib.prepare, protocol_luc.prepare])
def test_embeddings_are_those_of_the_field_of_view_at_each_place(folder, encoder, prepare):
    task = prepare(folder, encoder.fov)

    found = Candidate(encoder, task).embeddings()

    few = np.arange(0, len(task.places), max(1, len(task.places) // 20))
    expected = embed_at(encoder, task.volume, task.places.centres[few])
    np.testing.assert_allclose(found[few], expected, atol=1e-4)


def test_places_between_the_cells_of_an_encoder_are_embedded_one_by_one(folder):
    stages = (Stage(8, (5, 5, 5), (3, 3, 3)), Stage(16, (2, 2, 2)))
    encoder = random_encoder(EncoderConfig(stages=stages, read=(1,), embedding_dim=8))
    task = protocol_luc.prepare(folder, encoder.fov)

    found = Candidate(encoder, task).embeddings()

    few = np.array([0, 1, len(task.places) - 1])
    expected = embed_at(encoder, task.volume, task.places.centres[few])
    np.testing.assert_allclose(found[few], expected, atol=1e-4)


def test_an_encoder_that_sees_nothing_is_stable_and_finds_all_places_alike(folder, encoder):
    import jax

    task = protocol_fib.prepare(folder, encoder.fov)
    blind = random_encoder(TINY)
    blind = type(blind)(TINY, jax.tree.map(lambda p: 0 * p + 1, blind.params))

    found = Candidate(blind, task).stability(0)

    assert found == pytest.approx({"stability": 1.0, "cosine_between": 1.0}, abs=1e-3)


def test_stability_lies_between_that_of_two_places_and_one(folder, encoder):
    task = protocol_fib.prepare(folder, encoder.fov)

    found = Candidate(encoder, task).stability(0)

    assert found["cosine_between"] < found["stability"] < 1
