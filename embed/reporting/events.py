"""Event files for TensorBoard: records of scalars, written one by one.

The format is small and has not changed since 2015: TFRecord frames around protobuf messages `Event`
(tensorflow/core/util/event.proto). The libraries that write it import TensorFlow or PyTorch where
they find them, and write from a thread that a full disk stops unseen.
"""

import math
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from embed.storage import reports_storage

_VERSION, _START = b"brain.Event:2", 1
# Numbers of fields in the messages Event, Summary and Summary.Value.
_WALL_TIME, _STEP, _FILE_VERSION, _SUMMARY, _SESSION_LOG = 1, 2, 3, 5, 7
_VALUE = 1
_TAG, _SIMPLE_VALUE = 1, 2
_STATUS = 1


class EventFile:
    """The file of one start of a run; TensorBoard reads those of all starts as one."""

    def __init__(self, folder: Path, step: int):
        """Begins a file after `step`; of earlier starts, TensorBoard forgets what came later.

        Raises:
            StorageError: the disk refuses.
        """
        now = time.time()
        # TensorBoard knows its files by the word, and reads them in the order of their names.
        self._path = folder / f"events.out.tfevents.{int(now):010d}.{step:09d}"
        with reports_storage(f"write {self._path}"):
            folder.mkdir(exist_ok=True)
        self._append(_event(now, 0) + _bytes(_FILE_VERSION, _VERSION))
        session = _tag(_STATUS, 0) + _varint(_START)
        self._append(_event(now, step + 1) + _bytes(_SESSION_LOG, session))

    def add(self, step: int, scalars: Mapping[str, float | int]) -> None:
        """Writes scalars of a step, by the names that TensorBoard groups at slashes.

        Raises:
            StorageError: the disk refuses.
        """
        values = (
            _bytes(_TAG, name.encode()) + _tag(_SIMPLE_VALUE, 5) + struct.pack("<f", value)
            for name, value in scalars.items()
            if math.isfinite(value)
        )
        summary = b"".join(_bytes(_VALUE, value) for value in values)
        self._append(_event(time.time(), step) + _bytes(_SUMMARY, summary))

    def _append(self, record: bytes) -> None:
        length = struct.pack("<Q", len(record))
        framed = length + _checksum(length) + record + _checksum(record)
        with reports_storage(f"write {self._path}"), self._path.open("ab") as file:
            file.write(framed)


def _event(wall_time: float, step: int) -> bytes:
    start = _tag(_WALL_TIME, 1) + struct.pack("<d", wall_time)
    return start + _tag(_STEP, 0) + _varint(step) if step else start


def _tag(field: int, wire_type: int) -> bytes:
    return bytes([field << 3 | wire_type])


def _bytes(field: int, content: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (0x82F63B78 if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


_CRC = _table()


def _checksum(content: bytes) -> bytes:
    """CRC-32C (Castagnoli), rotated and shifted as TFRecord has it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
