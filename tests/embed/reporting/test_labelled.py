"""Tests of embed/reporting/labelled.py: classes of places, halves, scores of known embeddings."""

import dataclasses

import numpy as np
import pytest

from embed.errors import DataError, MismatchError
from embed.geometry import Box
from embed.normaliser import measure
from embed.reporting.config import ReportConfig
from embed.reporting.labelled import labelled_places, open_labels
from embed.training.sampling import TrainingVolume

CELLS = (3, 3, 3)


@pytest.fixture(scope="module")
def source(tissue_volume):
    return TrainingVolume(tissue_volume, tissue_volume.box, measure(tissue_volume))


@pytest.fixture
def label(write_volume, source, tiny):
    """Places of the tissue with the classes of a label volume of the given voxels."""

    def make(voxels, **settings):
        volume = write_volume(voxels, name="labels.zarr")
        path = volume.source.spec["kvstore"]["path"]
        config = ReportConfig(labels=path, places=4000, **settings)
        labels = open_labels(config, source, tiny)
        return labelled_places(config, labels, source, tiny, CELLS)

    return make


def stripes(shape=(40, 48, 56), period=8, classes=2):
    """Classes in slabs across y, as voxels; x is the longest axis, so that halves have all."""
    y = np.arange(shape[1]) // period % classes
    return np.broadcast_to(y[None, :, None], shape).astype(np.uint8)


def test_the_class_of_a_place_is_that_of_the_voxel_in_its_middle(label):
    voxels = np.random.default_rng(0).integers(0, 3, (40, 48, 56)).astype(np.uint8)

    labelled = label(voxels)

    at = np.floor(labelled.places.centres).astype(int)
    np.testing.assert_array_equal(np.array(labelled.names)[labelled.classes], voxels[tuple(at.T)])


def test_no_voxel_is_seen_from_both_halves(label, tiny):
    labelled = label(stripes())

    x, half = labelled.places.centres[:, 2], tiny.fov[2] / 2
    assert x[labelled.learn].max() + half <= 28
    assert x[~labelled.learn].min() - half >= 28


def test_a_value_for_no_label_is_left_out(label):
    labelled = label(stripes(classes=3), unlabelled=0)

    assert labelled.names == (1, 2)
    assert (labelled.classes == -1).any()
    assert np.isfinite([*labelled.scores(random_rows(labelled)).values()]).all()


def random_rows(labelled, dim=8):
    rows = np.random.default_rng(0).normal(size=(len(labelled.places), dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def telling_rows(labelled):
    rows = 0.1 * random_rows(labelled)
    rows[np.arange(len(rows)), labelled.classes] += 1
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("classes", "kind"), [(2, "ap"), (3, "f1")])
def test_embeddings_that_tell_classes_score_one_and_random_ones_chance(label, classes, kind):
    labelled = label(stripes(classes=classes))

    best, worst = (labelled.scores(make(labelled)) for make in (telling_rows, random_rows))

    assert best["knn_chance"] == pytest.approx(1 / classes)
    names = [f"{kind}_5", f"{kind}_25", f"{kind}_100"]
    assert {"knn_accuracy", "knn_chance", "probe_chance", *names} == set(best)
    for name in ("knn_accuracy", *names):
        chance = best["knn_chance" if name == "knn_accuracy" else "probe_chance"]
        assert best[name] == pytest.approx(1, abs=0.01)
        assert worst[name] == pytest.approx(chance, abs=0.1)


def test_scores_are_the_same_every_time(label):
    labelled = label(stripes())

    assert labelled.scores(random_rows(labelled)) == labelled.scores(random_rows(labelled))


def test_labels_on_another_grid_are_refused(label):
    with pytest.raises(MismatchError, match="labels need the grid of the first training volume"):
        label(stripes((40, 48, 57)))


def test_labels_that_are_no_whole_numbers_are_refused(label):
    with pytest.raises(MismatchError, match="are float32; classes are whole numbers"):
        label(stripes().astype(np.float32))


def test_a_single_class_is_refused(label):
    with pytest.raises(DataError, match=r"have 1 classes at .* two are needed"):
        label(np.ones((40, 48, 56), np.uint8))


def test_a_box_too_small_for_two_halves_is_refused(write_volume, source, tiny):
    path = write_volume(stripes(), name="labels.zarr").source.spec["kvstore"]["path"]
    config = ReportConfig(labels=path)
    small = dataclasses.replace(source, box=Box((0, 0, 0), (13, 13, 13)))

    with pytest.raises(MismatchError, match="needs at least two fields of view, 14"):
        labelled_places(config, open_labels(config, small, tiny), small, tiny, CELLS)
