"""Tests of tests/benchmarks/tradeoff.py, on which what is said of other libraries rests."""

import pytest

from tests.benchmarks.tradeoff import Point, cost_at


def test_between_two_settings_the_cost_lies_on_a_line():
    assert cost_at(0.96, [Point(0.98, 40.0), Point(0.94, 20.0)]) == pytest.approx(30)


def test_a_setting_that_another_beats_in_both_does_not_count():
    points = [Point(0.94, 20.0), Point(0.98, 40.0), Point(0.961, 90.0), Point(0.93, 25.0)]

    assert cost_at(0.96, points) == pytest.approx(30)


def test_nothing_is_extrapolated():
    assert cost_at(0.96, [Point(0.97, 30.0), Point(0.99, 60.0)]) == 30
    assert cost_at(0.96, [Point(0.90, 30.0), Point(0.95, 60.0)]) is None
    assert cost_at(0.96, []) is None
