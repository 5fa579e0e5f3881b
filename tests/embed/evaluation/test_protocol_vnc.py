"""P-VNC on small synthetic sections, and its best known control on the real ones."""

import numpy as np
import pytest

from embed.errors import MismatchError, NotFoundError
from embed.evaluation import controls, protocol_vnc
from embed.evaluation.features import Features
from embed.evaluation.protocol import labels_of
from embed.geometry import Box
from tests.labelled import write_vnc

FOV = (3, 9, 9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("vnc")
    write_vnc(path)
    return path


@pytest.fixture(scope="module")
def task(folder):
    return protocol_vnc.prepare(folder, FOV)


def decodable(labels):
    rows = np.eye(6)[labels] + np.random.default_rng(0).normal(0, 0.05, (len(labels), 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Features(rows.astype(np.float32), is_embedding=True)


def seen_sections(task):
    """Sections that the fields of view of training and of test see."""
    places, n = task.places, task.counts
    parts = np.arange(n["train"]), np.arange(len(places) - n["test"], len(places))
    starts = [places.starts[p, 0] for p in parts]
    return [(s.min(), s.max() + places.fov[0]) for s in starts]


@pytest.mark.parametrize("sections", [1, 2, 3, 5])
def test_no_section_is_seen_from_both_sides(folder, sections):
    task = protocol_vnc.prepare(folder, (sections, 9, 9))

    (_, train_stop), (test_start, test_stop) = seen_sections(task)
    assert train_stop <= test_start
    assert test_stop <= 20


def test_points_are_unanimous_and_far_from_the_border(folder, task):
    labels = labels_of(folder, "vnc_left_classes", task.volume)

    for (z, y, x), label in zip(task.places.voxels, task.labels, strict=True):
        assert (labels[z, y - 1 : y + 2, x - 1 : x + 2] == label).all()
    assert task.places.inside(Box((0, 36, 36), (20, 100 - 35, 110 - 35))).all()


def test_every_field_of_view_fits_and_has_both_neighbouring_sections(folder, task):
    one_section = protocol_vnc.prepare(folder, (1, 9, 9))

    for task_of in (task, one_section):
        z = task_of.places.voxels[:, 0]
        assert (z.min(), z.max()) == (1, 18)
        assert task_of.places.inside(Box((0, 0, 0), (20, 100, 110))).all()


def test_features_that_show_the_class_score_one(task):
    scores = task.score(decodable(task.labels), (0,))

    assert min(scores[name][0] for name in ("f1@5", "f1@100", "f1@2000", "p@10")) > 0.97


def test_a_class_that_was_never_taught_stands_out_where_features_allow(task):
    scores = task.score(decodable(task.labels), (0,))

    assert scores["unknown_auroc"][0] > 0.9


def test_shuffled_labels_score_chance(task):
    shuffled = np.random.default_rng(1).permutation(task.labels)

    scores = task.score(decodable(shuffled), (0,))

    for name, expected in task.chance.items():
        assert scores[name][0] == pytest.approx(expected, abs=0.08), name


def test_the_test_sections_do_not_choose_the_regularisation(task):
    features = decodable(task.labels)
    test = np.arange(len(task.places) - task.counts["test"], len(task.places))
    other = features.values.copy()
    other[test] = np.random.default_rng(0).normal(size=other[test].shape)

    one, two = (task._strength(Features(v), 25) for v in (features.values, other))

    assert one == two


@pytest.mark.parametrize("fov", [(33, 33, 33), (7, 9, 9)])
def test_an_encoder_that_sees_too_many_sections_is_told_what_would_fit(folder, fov):
    with pytest.raises(MismatchError, match=r"at most 5 sections.*[Pp]reset"):
        protocol_vnc.prepare(folder, fov)


def test_a_missing_volume_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"vnc_left\.zarr"):
        protocol_vnc.prepare(tmp_path, FOV)


@pytest.mark.long
def test_principal_components_of_the_real_sections_score_what_is_known(shared):
    task = protocol_vnc.prepare(shared / "data", (1, 33, 33))
    rows = controls.principal_components(task.grey, task.places, np.arange(task.counts["train"]))

    scores = task.score(Features(rows), (0,))

    found = [scores[name][0] for name in ("f1@5", "f1@25", "f1@100", "f1@2000", "p@10")]
    assert found == pytest.approx([0.31, 0.44, 0.59, 0.73, 0.45], abs=0.04)
