"""Tests of serve/swap.py."""

import pytest

from embed.errors import IncompleteError, StorageError
from serve.swap import replacing, replacing_file


def _fill(directory, text):
    (directory / "content").write_text(text)


def _fail_half_way(path):
    with replacing(path) as directory:
        _fill(directory, "half")
        raise KeyboardInterrupt


def test_a_new_directory_takes_the_place_of_the_old_one_and_nothing_is_left_over(tmp_path):
    for text in ("old", "new"):
        with replacing(tmp_path / "maps" / "a") as directory:
            _fill(directory, text)

    assert (tmp_path / "maps" / "a" / "content").read_text() == "new"
    assert [p.name for p in (tmp_path / "maps").iterdir()] == ["a"]


def test_what_fails_half_way_leaves_the_old_directory_alone(tmp_path):
    with replacing(tmp_path / "a") as directory:
        _fill(directory, "old")

    with pytest.raises(KeyboardInterrupt):
        _fail_half_way(tmp_path / "a")

    assert (tmp_path / "a" / "content").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_a_crash_left_between_the_two_renames_is_put_back(tmp_path):
    (tmp_path / ".a.old").mkdir()
    _fill(tmp_path / ".a.old", "old")
    (tmp_path / ".a.new").mkdir()

    with pytest.raises(KeyboardInterrupt):
        _fail_half_way(tmp_path / "a")

    assert (tmp_path / "a" / "content").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_second_writer_is_told_to_wait(tmp_path):
    with replacing(tmp_path / "a"), pytest.raises(IncompleteError, match="another process"):
        _fail_half_way(tmp_path / "b")


def test_a_new_file_takes_the_place_of_the_old_one_and_a_killed_one_of_nothing(tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / ".a.csv.new").write_text("what a killed process left")

    for text in ("old", "new"):
        with replacing_file(tmp_path / "maps" / "a.csv") as file:
            file.write(text)

    assert {p.name: p.read_text() for p in (tmp_path / "maps").iterdir()} == {"a.csv": "new"}


def _fail_half_way_through(path):
    with replacing_file(path) as file:
        file.write("half")
        raise KeyboardInterrupt


def test_what_fails_half_way_leaves_the_old_file_alone(tmp_path):
    (tmp_path / "a.csv").write_text("old")

    with pytest.raises(KeyboardInterrupt):
        _fail_half_way_through(tmp_path / "a.csv")

    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.csv": "old"}


def test_a_second_writer_of_a_file_is_told_to_wait_and_harms_nothing(tmp_path):
    with replacing_file(tmp_path / "a.csv") as file:
        file.write("first")
        with pytest.raises(IncompleteError, match="another process"):
            _fail_half_way_through(tmp_path / "a.csv")

    assert (tmp_path / "a.csv").read_text() == "first"


def test_a_place_that_takes_no_file_is_said(tmp_path):
    (tmp_path / "a.csv").mkdir()

    with pytest.raises(StorageError, match="is a folder"):
        with replacing_file(tmp_path / "a.csv") as file:
            file.write("text")

    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
