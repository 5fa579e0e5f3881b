"""P-FIB on synthetic bodies, what it refuses, and two known controls on the real ones."""

import numpy as np
import pytest

from embed.errors import MismatchError, NotFoundError
from embed.evaluation import bodies, protocol_fib
from embed.evaluation.features import Features
from tests.labelled import write_fib, write_volume

FOV = (9, 9, 9)
WHOLE = [[0, 250], [0, 250], [0, 250]]
BELOW = [[0, 120], [0, 250], [0, 250]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fib")
    write_fib(path)
    return path


@pytest.fixture(scope="module")
def task(folder):
    return protocol_fib.prepare(folder, FOV)


def body_of(task):
    return task.bodies[tuple(task.places.voxels.T)]


def crop(box, name="sample"):
    return {
        "name": f"{name}.zarr",
        "box_zyx": [[0, b - a] for a, b in box],
        "attributes": {"crop_of": {"name": "fib25_b", "box_zyx": box}},
    }


def test_a_feature_that_names_the_body_scores_one(task):
    body = body_of(task)

    scores = task.score(Features(np.eye(body.max() + 1)[body], is_embedding=True), (0, 1))

    assert [scores[f"auc{k}"] for k in ("_touching", "_apart", "")] == [[1.0, 1.0]] * 3


def test_shuffled_bodies_score_chance(task):
    body = np.random.default_rng(0).permutation(body_of(task))

    scores = task.score(Features(np.eye(body.max() + 1)[body], is_embedding=True), (0, 1))

    assert np.mean(scores["auc"]) == pytest.approx(0.5, abs=0.1)


def test_the_segments_that_an_encoder_may_be_masked_with_are_the_bodies(task):
    assert task.segments is task.bodies


def test_what_tells_bodies_apart_in_the_volume_is_found_by_the_masked_controls(task):
    found = task.controls()

    of_body = task.score(found[protocol_fib.MASKED_MEAN], (0,))["auc"][0]
    of_size = task.score(found[protocol_fib.MASK_VOLUME], (0,))["auc"][0]
    assert of_body > 0.9 > of_size


def test_the_counts_say_what_was_drawn(task):
    assert task.counts["places"] == len(task.places)
    assert task.counts["bodies_drawn_touching"] == 9
    assert task.counts["pairs_same"] > 0


@pytest.mark.parametrize("entry", [{"name": "fib25_b.zarr", "box_zyx": BELOW}, crop(BELOW)])
def test_an_encoder_trained_below_is_tested_above_the_gap(entry):
    first = protocol_fib._tested_from([{"name": "fib25_a.zarr", "box_zyx": WHOLE}, entry])

    assert first == 130


def test_only_fields_of_view_wholly_above_the_gap_are_used(tmp_path):
    write_fib(tmp_path, depth=230)

    task = protocol_fib.prepare(tmp_path, FOV, [crop(BELOW)])

    assert task.places.starts[:, 0].min() >= 130
    assert "z < 120" in task.split["reason"]


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "fib25_b.zarr", "box_zyx": WHOLE},
        {"name": "fib25_b", "box_zyx": WHOLE},
        crop([[100, 200], [0, 250], [0, 250]]),
    ],
)
def test_an_encoder_trained_on_the_test_volume_is_refused_with_what_would_work(folder, entry):
    with pytest.raises(MismatchError, match=r"trained on fib25_b up to z = .*z < 120"):
        protocol_fib.prepare(folder, FOV, [entry])


def test_another_volume_is_no_reason_to_refuse():
    entries = [{"name": "fib25_a.zarr", "box_zyx": WHOLE}, {"name": "snemi.zarr"}]

    assert protocol_fib._tested_from(entries) == 0


def test_too_few_bodies_are_refused_with_the_number_there_are(folder):
    with pytest.raises(MismatchError, match="only 0 neurons"):
        protocol_fib.prepare(folder, (81, 81, 81))


def test_labels_of_another_shape_are_refused(tmp_path):
    write_volume(tmp_path / "fib25_b.zarr", np.zeros((8, 8, 8), np.uint8))
    write_volume(tmp_path / "fib25_b_bodies.zarr", np.zeros((8, 8, 9), np.uint64))

    with pytest.raises(MismatchError, match="box of their volume"):
        protocol_fib.prepare(tmp_path, FOV)


def test_a_missing_volume_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"fib25_b\.zarr"):
        protocol_fib.prepare(tmp_path, FOV)


@pytest.mark.long
def test_masks_of_the_real_bodies_score_what_is_known(shared):
    task = protocol_fib.prepare(shared / "data", (25, 25, 25))
    masks = list(bodies.masks_of(task.bodies, task.places))
    seeds = (0, 1, 2, 3, 4)

    volume = task.score(Features(bodies.mask_volume(masks)), seeds)["auc_touching"]
    shape = task.score(Features(bodies.mask_shape(masks)), seeds)["auc_touching"]

    assert task.counts["bodies_drawn_touching"] == 34
    assert np.mean(volume) == pytest.approx(0.596, abs=0.03)
    assert np.mean(shape) == pytest.approx(0.666, abs=0.03)
