"""Tests of what `voxkin evaluate` refuses; the protocols have tests of their own."""

import pytest


@pytest.mark.parametrize("protocol", ["P-FIB", "P-VNC", "P-LUC"])
def test_data_that_are_not_there_are_said_with_what_is_needed(voxkin, run, tmp_path, protocol):
    ended = voxkin("evaluate", run, "--protocol", protocol, "--data", tmp_path)

    assert str(tmp_path) in ended.complaint
    assert ".zarr" in ended.complaint or "sections" in ended.complaint


def test_a_folder_of_data_is_asked_for(voxkin, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOXKIN_DATA", raising=False)

    ended = voxkin("evaluate", run, "--protocol", "P-FIB")

    assert "--data or $VOXKIN_DATA" in ended.complaint


def test_the_folder_of_data_can_be_in_the_environment(voxkin, run, tmp_path, monkeypatch):
    monkeypatch.setenv("VOXKIN_DATA", str(tmp_path))

    assert str(tmp_path) in voxkin("evaluate", run, "--protocol", "P-FIB").complaint


def test_an_unknown_protocol_is_refused_with_those_there_are(voxkin, run):
    ended = voxkin("evaluate", run, "--protocol", "P-XYZ")

    assert ended.code == 2
    assert "'P-FIB', 'P-VNC', 'P-LUC'" in " ".join(ended.err.replace("│", " ").split())


def test_an_encoder_that_is_not_there_is_refused(voxkin, tmp_path):
    ended = voxkin("evaluate", tmp_path / "no", "--protocol", "P-FIB", "--data", tmp_path)

    assert "no encoder at" in ended.complaint


def test_no_seeds_are_too_few(voxkin, run, tmp_path):
    words = ("--protocol", "P-FIB", "--data", tmp_path, "--seeds", 0)

    assert "at least one seed" in voxkin("evaluate", run, *words).complaint
