"""Every file in configs/ loads, survives JSON, and says how it is run."""

import pytest

from embed.config import from_json, load_preset, presets, to_json


@pytest.mark.parametrize("name", presets())
def test_a_preset_loads_and_survives_json(name):
    config = load_preset(name)

    assert from_json(to_json(config), name) == config


@pytest.mark.parametrize("name", presets())
def test_a_preset_says_how_it_is_run(name):
    assert f"voxkin train {name} " in presets()[name].read_text()
