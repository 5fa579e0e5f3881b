"""Tests of embed/config.py: settings as JSON and as presets."""

import dataclasses
import json

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
from embed.sampling import SamplingConfig

FULL = RunConfig(
    volumes=(
        VolumeConfig("a.zarr", (4.0, 4.0, 40.0), "zyx", ((0, 100), (5, 80), (-3, 20))),
        VolumeConfig("b.zarr"),
    ),
    train=TrainConfig(projection=(16,), compute="bfloat16", decoupled=True),
)


def test_settings_come_back_from_a_file_as_they_were(tmp_path):
    save_config(FULL, tmp_path)

    assert read_config(tmp_path) == FULL


def test_settings_are_plain_json():
    value = to_json(FULL)

    assert json.loads(json.dumps(value)) == value
    assert value["volumes"][0]["box"] == [[0, 100], [5, 80], [-3, 20]]
    assert from_json(value, "here") == FULL


def changed(**values):
    return {**to_json(FULL), **values}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (changed(trian={}), "trian: Unexpected keyword argument"),
        (changed(train={"step": 5}), "train.step: Unexpected keyword argument"),
        (changed(encoder={"stages": [{"width": 8, "kernal": 3}]}), r"encoder.stages.0.kern[ea]l: "),
        (changed(train={"steps": "many"}), "train.steps: Input should be a valid integer"),
        (changed(train={"steps": 2.5}), "train.steps: .*integer"),
        (changed(train={"compute": "float64"}), "train.compute: .*'float32' or 'bfloat16'"),
        (changed(sampling={"places": [4, 4]}), "sampling.places.2: Field required"),
        (changed(volumes=[{}]), "volumes.0.source: Field required"),
        (changed(volumes=[]), "a run needs at least one volume"),
        (changed(train={"steps": 0}), "train: .*at least 1"),
        ({}, "volumes: Field required"),
        ([], "here is not the configuration of a run"),
        (None, "here is not the configuration of a run"),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_where_it_is(value, words):
    with pytest.raises(DataError, match=words) as error:
        from_json(value, "here")

    assert str(error.value).startswith("here is not the configuration of a run: ")


def test_a_run_without_settings_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match=r"no configuration of a training run at .*config.json"):
        read_config(tmp_path)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"volumes": 3}')

    with pytest.raises(DataError, match=r"config\.json is not the configuration of a run: volumes"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (TrainConfig, {"steps": 0}, "at least 1"),
        (TrainConfig, {"save_every": 0}, "at least 1"),
        (TrainConfig, {"projection": (8, 0)}, "at least 1"),
        (TrainConfig, {"projection": ()}, "one or more widths"),
        (TrainConfig, {"ignore_cells": -1}, "ignore_cells at least 0"),
        (TrainConfig, {"learning_rate": 0.0}, "learning_rate and temperature > 0"),
        (TrainConfig, {"temperature": -0.1}, "learning_rate and temperature > 0"),
        (TrainConfig, {"warmup": 1.0}, r"warmup in \[0, 1\)"),
        (RunConfig, {"volumes": ()}, "a run needs at least one volume; name one with --volume"),
        (VolumeConfig, {"source": "a", "box": ((0, 9), (5, 5), (0, 9))}, "start < stop on x, y"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_rule(kind, settings, words):
    with pytest.raises(ConfigError, match=words):
        kind(**settings)


@pytest.mark.parametrize(
    ("places", "cells"), [((1, 1, 1), 0), ((4, 4, 4), 3), ((2, 2, 2), 2), ((3, 3, 5), 3)]
)
def test_a_step_without_negatives_is_refused_with_what_to_do(places, cells):
    sampling = SamplingConfig(crops=1, places=places)

    with pytest.raises(ConfigError, match="without a negative.* use more crops, more places, or"):
        RunConfig((VolumeConfig("a"),), sampling=sampling, train=TrainConfig(ignore_cells=cells))


@pytest.mark.parametrize(
    ("crops", "places", "cells"), [(2, (1, 1, 1), 3), (1, (1, 1, 2), 0), (1, (1, 1, 6), 3)]
)
def test_a_step_in_which_every_place_has_a_negative_is_not(crops, places, cells):
    sampling = SamplingConfig(crops=crops, places=places)

    config = RunConfig(
        (VolumeConfig("a"),), sampling=sampling, train=TrainConfig(ignore_cells=cells)
    )

    assert config.sampling.places == places


def test_a_preset_is_found_by_name_and_by_path(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(presets()["demo"].read_text())

    assert load_preset("demo") == load_preset(str(file))


def test_an_unknown_preset_is_not_found_and_the_known_ones_are_named():
    with pytest.raises(NotFoundError, match="no preset 'dmeo'; there are .*demo.*a path to a .py"):
        load_preset("dmeo")


def test_a_path_without_a_file_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match="no preset '.*none.py'"):
        load_preset(str(tmp_path / "none.py"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("config = (", "fails: SyntaxError: '\\(' was never closed"),
        ("import nothing_like_this", "fails: ModuleNotFoundError: No module named"),
        ("1 / 0", "fails: ZeroDivisionError: division by zero"),
        ("config = {'train': 3}", r"has no `config = RunConfig\(...\)`"),
        ("", r"has no `config = RunConfig\(...\)`"),
        (
            "from embed.config import TrainConfig\nTrainConfig(steps=0)",
            "steps, intervals .* at least 1",
        ),
    ],
)
def test_a_preset_that_fails_is_refused_with_the_reason(tmp_path, code, words):
    file = tmp_path / "mine.py"
    file.write_text(code)

    with pytest.raises(ConfigError, match=words):
        load_preset(str(file))


def test_replacing_a_setting_checks_it_again():
    with pytest.raises(ConfigError, match="at least 1"):
        dataclasses.replace(FULL.train, log_every=0)
