"""Tests of embed/reporting/events.py: records as TensorFlow and tensorboardX write them."""

import struct
from types import SimpleNamespace

import pytest

from embed.errors import StorageError
from embed.reporting import events
from embed.reporting.events import EventFile

# tensorboardX 2.6.5 of Event(wall_time=1.5, step=300, summary of {"a/b": 0.25, "c": -2.0}).
GOLDEN = bytes.fromhex(
    "2400000000000000422b804d09000000000000f83f10ac022a160a0a0a03612f62150000803e0a080a01631500"
    "0000c0820519bf"
)


def records(path):
    """The contents of the records of a file, their frames checked."""
    content, found = path.read_bytes(), []
    while content:
        (size,) = struct.unpack("<Q", content[:8])
        assert content[8:12] == events._checksum(content[:8])
        found.append(content[12 : 12 + size])
        assert content[12 + size : 16 + size] == events._checksum(found[-1])
        content = content[16 + size :]
    return found


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tensorboard"


def test_a_record_is_byte_for_byte_what_tensorboardx_writes(folder, monkeypatch):
    file = EventFile(folder, 0)
    (path,) = folder.iterdir()
    before = path.read_bytes()
    monkeypatch.setattr(events, "time", SimpleNamespace(time=lambda: 1.5))

    file.add(300, {"a/b": 0.25, "c": -2.0})

    assert path.read_bytes() == before + GOLDEN


def test_a_file_begins_with_its_version_and_forgets_later_steps_of_earlier_starts(folder):
    EventFile(folder, 299)
    (path,) = folder.iterdir()

    version, session = records(path)

    assert version.endswith(b"\x1a\x0dbrain.Event:2")
    assert session[9:] == b"\x10\xac\x02" + b"\x3a\x02\x08\x01"  # step 300, SessionLog.START


def test_what_is_no_number_is_left_out(folder):
    file = EventFile(folder, 0)
    (path,) = folder.iterdir()

    file.add(1, {"nan": float("nan"), "inf": float("inf"), "one": 1.0})

    assert b"one" in records(path)[-1]
    assert b"nan" not in records(path)[-1]
    assert b"inf" not in records(path)[-1]


def test_the_checksum_is_castagnolis():
    (masked,) = struct.unpack("<I", events._checksum(b"123456789"))
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF

    assert (rotated << 15 | rotated >> 17) & 0xFFFFFFFF == 0xE3069283


def test_a_place_that_refuses_is_said(tmp_path):
    (tmp_path / "run").write_text("a file")

    with pytest.raises(StorageError, match="a part of that path is a file"):
        EventFile(tmp_path / "run" / "tensorboard", 0)
