"""Tests of the flags of slabs and fleets; what becomes of them is tested in tests/serve/fleet."""

import pytest

from embed.errors import ConfigError
from serve.fleet.fleet import FleetSettings
from serve.verbs.serve_arguments import FleetFlags
from tests.atlases import make_atlas


@pytest.fixture
def small(tmp_path):
    """An atlas of eight shards without an index."""
    return make_atlas(tmp_path / "small").path


def test_an_index_is_cut_in_slabs_stays_so_and_is_put_in_one_file_again(voxkin, small):
    cut = voxkin("index", small, "--slabs", 3, "--json")
    told = voxkin("index", small)
    one = voxkin("index", small, "--slabs", 0, "--json")

    assert len(cut.json["slabs"]) == 3
    assert "in 3 slabs" in told.out
    assert one.json["slabs"] == []
    assert one.json["factory"] == cut.json["factory"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--slabs", -1], "--slabs is a number of parts, or 0 for one file; got -1"),
        (["--slabs", 10**6], "--slabs is 1 to the number of shards with data"),
        (["--engine", "workers"], "--engine workers builds slabs; say how many with --slabs"),
        (["--slabs", 2, "--engine", "spark"], "--engine is one of process, workers, ray"),
        (["--slabs", 2, "--list"], "one at a time: --list and --slabs"),
    ],
)
def test_slabs_that_cannot_be_made_are_refused(voxkin, small, flags, words):
    ended = voxkin("index", small, *flags)

    assert ended.code == 2
    assert words in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"replicas": 0}, "replicas are counted from 1; got 0"),
        ({"cores": 0.0}, "a replica has cores above 0; got 0"),
        ({"deadline_s": float("inf")}, "a deadline above 0; got inf"),
    ],
)
def test_settings_of_a_fleet_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        FleetSettings(**wrong)


def test_without_a_fleet_indices_are_opened_in_this_process():
    with FleetFlags().opener() as opener:
        assert opener.__module__ == "serve.index"
