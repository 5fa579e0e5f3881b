"""An encoder at the places of a protocol."""

import dataclasses

import numpy as np
import pytest

from embed.backends.choice import open_backend
from embed.checkpoint import random_encoder
from embed.dense import embed_at
from embed.encoder import EncoderConfig, Stage
from embed.errors import MismatchError
from embed.evaluation import protocol_fib, protocol_luc
from embed.evaluation.candidate import Candidate, input_of
from embed.volume import open_volume
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
    expected = embed_at(open_backend(encoder), task.volume, task.places.centres[few])
    np.testing.assert_allclose(found[few], expected, atol=1e-4)


def test_places_between_the_cells_of_an_encoder_are_embedded_one_by_one(folder):
    stages = (Stage(8, (5, 5, 5), (3, 3, 3)), Stage(16, (2, 2, 2)))
    encoder = random_encoder(EncoderConfig(stages=stages, read=(1,), embedding_dim=8))
    task = protocol_luc.prepare(folder, encoder.fov)

    found = Candidate(encoder, task).embeddings()

    few = np.array([0, 1, len(task.places) - 1])
    expected = embed_at(open_backend(encoder), task.volume, task.places.centres[few])
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


@pytest.fixture(scope="module")
def masked_task(folder):
    """An encoder that wants masks and sees 25 voxels, which few bodies fill; and its places."""
    stages = (Stage(8, (5, 5, 5), (4, 4, 4)), Stage(16, (6, 6, 6)))
    encoder = random_encoder(EncoderConfig(stages=stages, read=(1,), embedding_dim=8))
    return dataclasses.replace(encoder, masked=True), protocol_fib.prepare(folder, encoder.fov)


def test_an_encoder_that_wants_masks_is_given_masked_fields_of_view(masked_task, folder):
    masked, task = masked_task
    whole = dataclasses.replace(masked, masked=False)

    found = Candidate(masked, task).embeddings()

    few = np.arange(0, len(task.places), max(1, len(task.places) // 20))
    labels = open_volume(folder / "fib25_b_bodies.zarr")
    expected = embed_at(open_backend(masked), task.volume, task.places.centres[few], labels)
    np.testing.assert_allclose(found[few], expected, atol=1e-4)
    assert not np.allclose(found, Candidate(whole, task).embeddings(), atol=1e-2)
    assert "masked to the segment" in input_of(masked, task)["input"]
    assert input_of(whole, task) == {}


def test_what_a_mask_hides_changes_nothing(masked_task):
    masked, task = masked_task
    labels, body = task.bodies, task.bodies[tuple(task.places.voxels.T)]
    one = int(np.bincount(body).argmax())
    other = dataclasses.replace(task, grey=np.where(labels == one, task.grey, 255 - task.grey))

    before, after = (Candidate(masked, t).embeddings()[body == one] for t in (task, other))

    np.testing.assert_allclose(after, before, atol=1e-5)


def test_stability_of_a_masked_encoder_is_that_of_masked_fields_of_view(masked_task):
    masked, task = masked_task

    found = Candidate(masked, task).stability(0)

    assert found["cosine_between"] < found["stability"] < 1


def test_an_encoder_that_wants_masks_is_refused_where_there_is_no_segmentation(folder, encoder):
    task = protocol_luc.prepare(folder, encoder.fov)

    with pytest.raises(MismatchError, match="no segmentation of lucchi_train .* use P-FIB"):
        Candidate(dataclasses.replace(encoder, masked=True), task)
