"""Every preset loads, explains itself and survives JSON."""

import json

import pytest

from embed.config import from_json, load_preset, presets, to_json

NAMES = pytest.mark.parametrize("name", sorted(presets()))


def test_there_are_presets_for_the_demo_and_for_both_kinds_of_volume():
    assert {"demo", "smoke", "fibsem", "sections"} <= presets().keys()


@NAMES
def test_a_preset_loads_and_survives_json(name):
    config = load_preset(name)

    assert from_json(json.loads(json.dumps(to_json(config))), name) == config


@NAMES
def test_a_preset_says_how_to_run_it(name):
    docstring = presets()[name].read_text().split('"""')[1]

    assert f"voxkin train {name} " in docstring
