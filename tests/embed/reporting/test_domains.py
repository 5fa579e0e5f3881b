"""Tests of embed/reporting/domains.py on embeddings that do and do not tell volumes apart."""

import numpy as np
import pytest

from embed.reporting.domains import domain_accuracy

DIM, BLOCKS, PER_BLOCK = 8, 24, 20


@pytest.fixture
def places():
    """Which of three volumes, and which block, each of 480 places is of."""
    volumes = np.repeat(np.arange(BLOCKS) % 3, PER_BLOCK)
    return volumes, np.repeat(np.arange(BLOCKS), PER_BLOCK)


def test_volumes_apart_are_told_apart(places):
    volumes, parts = places
    rows = np.random.default_rng(0).normal(size=(len(volumes), DIM))
    rows[np.arange(len(rows)), volumes] += 20

    assert domain_accuracy(rows, volumes, parts) == 1


def test_volumes_that_are_alike_are_told_apart_by_chance(places):
    rows = np.random.default_rng(0).normal(size=(len(places[0]), DIM))

    assert domain_accuracy(rows, *places) == pytest.approx(1 / 3, abs=0.08)


def test_what_marks_a_block_does_not_count_as_a_mark_of_its_volume(places):
    volumes, parts = places
    rng = np.random.default_rng(0)
    rows = 10 * rng.normal(size=(BLOCKS, DIM))[parts] + rng.normal(size=(len(parts), DIM))

    assert domain_accuracy(rows, volumes, parts) < 0.7


def test_a_volume_of_a_single_block_cannot_be_cross_validated():
    rows = np.random.default_rng(0).normal(size=(6, DIM))

    assert domain_accuracy(rows, np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])) is None


def test_the_figure_is_the_same_every_time(places):
    rows = np.random.default_rng(0).normal(size=(len(places[0]), DIM))

    assert domain_accuracy(rows, *places) == domain_accuracy(rows, *places)
