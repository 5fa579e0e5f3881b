"""Tests of serve/indexing/sweep.py and serve/indexing/sweep_plot.py."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from serve.index import build_index
from serve.indexing.sweep import Searched, Step, cheapest, sweep
from serve.indexing.truth import ExactNeighbours
from serve.locations import Locations, sample_locations
from tests.atlases import make_atlas
from tests.serve.brute import everything


def test_the_cheapest_setting_that_finds_enough_is_chosen():
    steps = (Step(1, 20, 0.90, 1, 1), Step(8, 20, 0.99, 9, 1), Step(4, 100, 0.995, 4, 5))

    assert cheapest(steps) == steps[2]
    assert cheapest(steps, 0.8) == steps[0]


def test_where_none_finds_enough_the_one_that_finds_most_is_chosen():
    steps = (Step(1, 20, 0.90, 1, 1), Step(2, 20, 0.95, 3, 1), Step(4, 20, 0.95, 4, 1))

    assert cheapest(steps) == steps[1]


@pytest.fixture(scope="module")
def known(atlas):
    ids, vectors, _ = everything(atlas)
    truth = ExactNeighbours(atlas, sample_locations(atlas, 30, 0))
    truth.update(Locations(ids, vectors))
    return ids, vectors, truth


def _searched(atlas, known, share):
    """A search that looks at the first part of all locations, the more the more lists it reads."""
    ids, vectors, _ = known

    def search(queries, k, nprobe):
        count = max(1, int(len(ids) * share(nprobe)))
        best = np.argsort(-(queries @ vectors[:count].T), axis=1)[:, :k]
        found = np.full((len(queries), k), -1)
        found[:, : best.shape[1]] = ids[best]
        return found

    return Searched(atlas, search, None, 16, False)


def test_recall_is_that_of_what_was_found(atlas, known):
    ids, vectors, truth = known
    steps = sweep(_searched(atlas, known, lambda nprobe: nprobe / 16), truth)

    first = next(step for step in steps if step.nprobe == 1 and step.candidates == 200)
    part = ExactNeighbours(atlas, truth.queries)
    part.update(Locations(ids[: len(ids) // 16], vectors[: len(ids) // 16]))
    expected = (part.best >= truth.thresholds - 1e-5).sum() / truth.counts.sum()
    assert first.recall == pytest.approx(expected, abs=0.02)
    assert {step.nprobe for step in steps} == {1, 2, 4, 8, 16}
    assert [step.recall for step in steps if step.nprobe == 16][-1] == 1


@pytest.mark.parametrize(("full", "last"), [(4, 256), (100, 512), (600, 1024)])
def test_it_ends_where_more_lists_find_no_more(atlas, known, full, last):
    searched = _searched(atlas, known, lambda nprobe: 0.6 * min(nprobe / full, 1))
    steps = sweep(dataclasses.replace(searched, lists=1024), known[2])

    assert steps[-1].nprobe == last
    assert steps[-1].recall == max(step.recall for step in steps)


def test_more_candidates_never_find_less(atlas, known):
    steps = sweep(_searched(atlas, known, lambda nprobe: 0.5), known[2])

    recalls = [step.recall for step in steps if step.nprobe == 1]
    assert recalls == sorted(recalls)
    assert all(step.search_us > 0 and step.compare_us > 0 for step in steps)


def test_the_picture_is_beside_the_manifest(tmp_path):
    atlas = make_atlas(tmp_path / "a", (6, 6, 6))

    manifest = build_index(atlas, factory="IVF8,Flat")

    assert len(manifest.sweep) > 1
    with Image.open(atlas.path / "index" / manifest.version / "recall.png") as picture:
        assert min(picture.size) > 300
