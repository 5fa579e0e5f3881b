"""Tests of serve/swap.py."""

import pytest

from embed.errors import IncompleteError
from serve.swap import replacing


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
