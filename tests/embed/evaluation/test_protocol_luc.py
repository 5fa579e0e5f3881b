"""P-LUC on a small synthetic volume."""

import numpy as np
import pytest

from embed.errors import MismatchError, NotFoundError
from embed.evaluation import protocol_luc
from embed.evaluation.controls import MEAN
from embed.evaluation.features import Features
from tests.labelled import write_luc

FOV = (9, 9, 9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("luc")
    write_luc(path)
    return path


@pytest.fixture(scope="module")
def task(folder):
    return protocol_luc.prepare(folder, FOV)


def decodable(task, labels):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(len(labels), 6)).astype(np.float32) * 0.1
    rows[:, 0] += np.where(labels, 1, -1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Features(rows.astype(np.float32), is_embedding=True)


def test_no_voxel_is_seen_from_both_blocks_and_they_are_half_a_field_of_view_apart(task):
    y = task.places.starts[:, 1]
    train, test = y[: task.counts["train"]], y[task.counts["train"] :]

    assert train.max() + FOV[1] <= 184
    assert test.min() >= 200
    assert test.min() - (train.max() + FOV[1]) >= FOV[1] / 2


def test_a_feature_that_shows_the_label_scores_one(task):
    scores = task.score(decodable(task, task.positive), (0,))

    fitted = [scores[f"{kind}@{n}"][0] for kind in ("ap", "f1") for n in (10, 50, 200, "all")]
    assert min(fitted) > 0.9
    assert scores["precision@50"][0] > 1.5 * task.chance["precision@50"]


def test_shuffled_labels_score_chance(task):
    shuffled = np.random.default_rng(1).permutation(task.positive)

    scores = task.score(decodable(task, shuffled), (0, 1))

    for name in ("ap@10", "ap@200", "ap@all", "precision@50"):
        assert np.mean(scores[name]) == pytest.approx(task.chance[name], abs=0.06)


def test_hits_never_show_the_place_of_the_query_nor_crowd_each_other(task):
    places_nm = task.places.centres[task.counts["train"] :] * 10
    alike = np.random.default_rng(0).random(len(places_nm)).astype(np.float32)

    hits = task._hits(0, alike, places_nm)

    from_query = np.linalg.norm(places_nm[hits] - places_nm[0], axis=1)
    between = np.linalg.norm(places_nm[hits][:, None] - places_nm[hits], axis=-1)
    assert from_query.min() >= 330
    assert between[~np.eye(len(hits), dtype=bool)].min() >= 160


def test_every_control_has_a_row_for_every_place(task):
    found = task.controls()

    assert {len(features.values) for features in found.values()} == {len(task.places)}
    expected = [task.grey[w].mean() for w in task.places.windows()[:5]]
    np.testing.assert_allclose(found[MEAN].values[:5, 0], expected, rtol=1e-5)


def test_chance_names_the_scores_that_are_made(task):
    scores = task.score(decodable(task, task.positive), (0,))

    assert task.chance.keys() == scores.keys()


def test_training_on_the_volume_is_stated(folder):
    entry = {"name": "lucchi_train.zarr", "box_zyx": [[0, 25], [0, 264], [0, 80]]}

    task = protocol_luc.prepare(folder, FOV, [entry])

    assert task.split["encoder_trained_on_this_volume"] is True


def test_a_field_of_view_larger_than_a_block_is_refused_with_the_size_of_the_blocks(folder):
    with pytest.raises(MismatchError, match=r"\(25, 184, 80\).*33 x 33 x 33 voxels"):
        protocol_luc.prepare(folder, (33, 33, 33))


def test_a_missing_volume_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"lucchi_train\.zarr"):
        protocol_luc.prepare(tmp_path, FOV)
