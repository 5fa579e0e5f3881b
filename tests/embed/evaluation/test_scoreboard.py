"""The outcome as JSON and as a table."""

import json

import pytest
from rich.console import Console

from embed.evaluation.scoreboard import Result, render, summarised


@pytest.fixture
def result():
    return Result(
        protocol="P-FIB",
        encoder="a1b2",
        metrics={"auc_touching": 0.81234, "auc": 0.7},
        sd={"auc_touching": 0.0123, "auc": 0.0},
        controls={"mean intensity": {"auc_touching": 0.726, "auc": 0.6}, "forest": {"auc": 0.5}},
        sd_controls={
            "mean intensity": {"auc_touching": 0.004, "auc": 0.01},
            "forest": {"auc": 0.1},
        },
        n={"places": 315},
        split={"places": "z >= 130"},
        seeds=(0, 1),
        random_networks=2,
        fov=(33, 32, 31),
        seconds=1.5,
    )


def shown(result, width=80):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(render(result))
    return capture.get()


def test_json_keeps_every_figure_and_names_the_axes(result):
    value = json.loads(json.dumps(result.to_json()))

    assert value["metrics"] == result.metrics
    assert value["controls"]["mean intensity"]["auc_touching"] == 0.726
    assert value["fov_voxels"] == {"x": 31, "y": 32, "z": 33}
    assert value["n"] == {"places": 315}


def test_the_controls_stand_in_the_table_of_the_encoder(result):
    text = shown(result)

    for part in ("encoder", "0.812", "±0.012", "mean intensity", "0.726", "z >= 130", "315"):
        assert part in text


def test_a_score_that_a_control_cannot_have_is_left_open(result):
    (row,) = [line for line in shown(result).splitlines() if line.strip().startswith("forest")]

    assert row.split() == ["forest", "-", "0.500"]


def test_summaries_are_mean_and_deviation_over_seeds():
    mean, sd = summarised({"f1": [0.5, 0.7], "ap": [1.0, 1.0]})

    assert mean == pytest.approx({"f1": 0.6, "ap": 1.0})
    assert sd == pytest.approx({"f1": 0.1, "ap": 0.0})
