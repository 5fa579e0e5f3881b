"""Tests of embed/config.py: settings that survive JSON, and mistakes that are named."""

import pytest

from embed.config import (
    RunConfig,
    TrainConfig,
    VolumeConfig,
    from_json,
    load_preset,
    presets,
    read_config,
    save_config,
    to_json,
)
from embed.errors import ConfigError, DataError, NotFoundError

BOX = ((0, 250), (0, 250), (0, 120))


def test_settings_come_back_from_the_run_as_they_were(tiny_run, tmp_path):
    config = RunConfig((VolumeConfig("a.zarr", (4.0, 4.0, 40.0), "zyx", BOX),), tiny_run.encoder)

    save_config(config, tmp_path)

    assert read_config(tmp_path) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v["train"].update(stepz=3), "train.stepz"),
        (lambda v: v["train"].update(steps="many"), "train.steps"),
        (lambda v: v.pop("volumes"), "volumes"),
        (lambda v: v["encoder"].update(read=[9]), "read names stages"),
    ],
)
def test_a_setting_that_is_not_one_is_named(tiny_run, change, words):
    value = to_json(tiny_run)
    change(value)

    with pytest.raises((DataError, ConfigError), match=words):
        from_json(value, "config.json")


@pytest.mark.parametrize(
    "change",
    [{"steps": -1}, {"temperature": 0.0}, {"warmup": 1.0}, {"projection": (0,)}, {"save_every": 0}],
)
def test_a_setting_out_of_its_range_is_refused(change):
    with pytest.raises(ConfigError, match="at least 1|> 0"):
        TrainConfig(**change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"loss": "invariance"}, "all places would become one"),
        ({"variance": -1.0}, "at least 0"),
        ({"covariance": -1.0}, "at least 0"),
        ({"keep_length": -1.0}, "keep_length"),
        ({"read_filters": float("nan")}, "read_filters"),
    ],
)
def test_a_weight_that_makes_no_sense_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        TrainConfig(**change)


def test_a_run_needs_a_volume():
    with pytest.raises(ConfigError, match="--volume"):
        RunConfig(())


def test_a_misspelt_preset_lists_those_there_are():
    with pytest.raises(NotFoundError, match=r"no preset 'fibsm'; there are adapt, demo, fibsem"):
        load_preset("fibsm")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_like_it", "fails: ModuleNotFoundError"),
        ("x = 1", "has no `config = RunConfig"),
        ("config = {'steps': 3}", "has no `config = RunConfig"),
        ("def f(:", "fails: SyntaxError"),
    ],
)
def test_a_preset_of_ones_own_that_does_not_work_says_why(tmp_path, text, words):
    file = tmp_path / "mine.py"
    file.write_text(text)

    with pytest.raises(ConfigError, match=words):
        load_preset(str(file))


def test_the_presets_that_come_along_are_found():
    assert {"demo", "fibsem", "sections", "smoke"} <= presets().keys()
