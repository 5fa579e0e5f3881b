"""Tests of embed/storage.py: whole files or none, and what a refusing disk is called."""

import errno
import json
import os
import resource

import pytest

from embed.errors import DataError, NotFoundError, StorageError
from embed.storage import (
    digest,
    digest_json,
    is_free,
    read_json,
    reports_storage,
    write_bytes,
    write_json,
)


def refuse(number):
    def call(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on the device; free some and run the same command again"),
        (errno.EROFS, "the file system is read-only; choose another place"),
        (errno.EDQUOT, "the disk quota is used up"),
    ],
)
def test_a_write_that_the_disk_refuses_leaves_the_old_file_and_no_other(
    tmp_path, monkeypatch, call, number, words
):
    file = tmp_path / "a.json"
    write_bytes(file, b"old")
    monkeypatch.setattr(os, call, refuse(number))

    with pytest.raises(StorageError) as error:
        write_bytes(file, b"new")

    assert words in str(error.value)
    assert str(file) in str(error.value)
    assert [child.name for child in tmp_path.iterdir()] == ["a.json"]
    assert file.read_bytes() == b"old"


def test_a_file_larger_than_the_system_allows_is_refused_whole(tmp_path):
    file = tmp_path / "a.bin"
    write_bytes(file, b"old")
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="larger than the system allows"):
            write_bytes(file, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))

    assert [child.name for child in tmp_path.iterdir()] == ["a.bin"]
    assert file.read_bytes() == b"old"


def test_an_interrupted_write_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "a.json", b"new")

    assert not any(tmp_path.iterdir())


def test_a_file_is_written_over_with_its_folders_made_and_readable_by_all(tmp_path):
    file = tmp_path / "deep" / "down" / "a.bin"

    write_bytes(file, b"old")
    write_bytes(file, b"new")

    assert file.read_bytes() == b"new"
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["file", "file/below/a.json"])
def test_a_path_through_a_file_is_refused_in_words(tmp_path, name):
    (tmp_path / "file").write_text("x")
    target = tmp_path / name / "a.json"

    with pytest.raises(StorageError, match="a part of that path is a file"):
        write_bytes(target, b"new")


def test_a_folder_where_the_file_should_be_is_refused_in_words(tmp_path):
    (tmp_path / "a.json").mkdir()

    with pytest.raises(StorageError, match="is a folder"):
        write_bytes(tmp_path / "a.json", b"new")


def test_words_of_the_system_inside_another_error_are_understood():
    with pytest.raises(StorageError, match="cannot write x: no space left"):
        with reports_storage("write x"):
            raise ValueError(f"UNAVAILABLE: Error writing x: {os.strerror(errno.ENOSPC)}")


@pytest.mark.parametrize(
    "error", [ValueError("shapes differ"), OSError(errno.EIO, "bad disk"), KeyError("a")]
)
def test_errors_that_are_not_of_the_disk_pass_unchanged(error):
    with pytest.raises(type(error)) as caught:
        with reports_storage("write x"):
            raise error

    assert caught.value is error


def test_json_comes_back_as_it_was_written(tmp_path):
    value = {"b": [1, 2.5, None], "a": {"ü": "é"}}

    write_json(tmp_path / "a.json", value)

    assert read_json(tmp_path / "a.json", "a value") == value


def test_a_missing_file_is_named_by_what_it_is(tmp_path):
    with pytest.raises(NotFoundError, match="no configuration of a run at .*a.json"):
        read_json(tmp_path / "a.json", "configuration of a run")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe"])
def test_a_file_that_is_not_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)

    with pytest.raises(DataError, match=r"a\.json is damaged: it is not JSON"):
        read_json(tmp_path / "a.json", "a value")


def test_a_place_is_free_until_something_that_shows_is_there(tmp_path):
    place = tmp_path / "run"
    free = [is_free(place)]
    place.mkdir()
    free.append(is_free(place))
    (place / ".config.json.x7f2k").write_text("half")
    free.append(is_free(place))

    (place / "notes.txt").write_text("mine")

    assert free == [True, True, True]
    assert not is_free(place)
    assert not is_free(place / "notes.txt")


def test_a_digest_depends_on_every_byte_and_not_on_the_order_of_keys():
    assert digest(b"ab", b"c") == digest(b"abc")
    assert digest(b"abc") != digest(b"abd")
    assert len(digest(b"")) == 32
    assert digest_json({"a": 1, "b": 2}) == digest_json(json.loads('{"b": 2, "a": 1}'))
    assert digest_json({"a": 1}) != digest_json({"a": 1.5})
