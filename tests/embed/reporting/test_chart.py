"""Tests of embed/reporting/chart.py: what is drawn, and that words cannot break out."""

import math
import re

from embed.reporting.chart import HEIGHT, WIDTH, Curve, draw_chart


def curve(*points):
    return Curve("loss", tuple((float(step), float(value)) for step, value in points))


def points_of(markup):
    (text,) = re.findall(r'<polyline class="c0" points="([^"]*)"', markup)
    return [tuple(map(float, pair.split(","))) for pair in text.split()]


def test_higher_values_are_higher_and_later_steps_to_the_right():
    points = points_of(draw_chart("Loss", [curve((1, 7), (10, 6), (20, 6.5))]))

    (x1, y1), (x2, y2), (x3, y3) = points
    assert 0 < x1 < x2 < x3 <= WIDTH
    assert 0 <= y1 < y3 < y2 <= HEIGHT


def test_values_that_are_no_numbers_are_left_out():
    holed = curve((1, 7), (2, math.nan), (3, math.inf), (4, 6))

    assert len(points_of(draw_chart("Loss", [holed]))) == 2


def test_a_single_point_and_a_constant_are_drawn():
    assert len(points_of(draw_chart("Loss", [curve((5, 0))]))) == 1
    assert len(points_of(draw_chart("Loss", [curve((1, 3), (2, 3))]))) == 2


def test_long_curves_are_averaged():
    many = [(i, i % 2) for i in range(8000)]

    drawn = points_of(draw_chart("Loss", [curve(*many)]))

    assert len(drawn) == 200
    assert len({y for _, y in drawn}) == 1


def test_what_has_no_points_is_no_chart():
    assert draw_chart("Loss", [curve()]) == ""


def test_words_are_escaped():
    markup = draw_chart("<a>", [Curve("<b>", ((1.0, 1.0),)), curve((1, 2))], "<i>")

    assert not re.search("<[abi]>", markup)
    assert "&lt;b&gt;" in markup
