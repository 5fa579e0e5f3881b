"""What the tests of engines have workers do: functions that every kind of worker can import."""

import os
import signal
import time
import uuid
from pathlib import Path

from embed.errors import DataError
from embed.threads import threads


def square(number):
    return number * number


def surroundings(_number):
    """The process, the threads it may use, and what it inherited."""
    return os.getpid(), threads(), os.environ.get("OMP_NUM_THREADS")


def refuse(number):
    """Raises a mistake of the caller for 1 and a bug for 2."""
    if number == 1:
        raise DataError("chunk 1 is damaged\nand there is more to say")
    if number == 2:
        raise KeyError("two")
    return number


def die_at_first(folder: Path, number):
    """Kills its process the first time that it gets 3."""
    if number == 3 and trace(folder, number) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_always(folder: Path, number):
    """Kills its process whenever it gets 3."""
    if number == 3:
        trace(folder, number)
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def sleep(folder: Path, number):
    """Says which process it is, and is at it for a minute."""
    (folder / str(os.getpid())).touch()
    time.sleep(60)
    return number


def trace(folder: Path, number) -> int:
    """Counts the beginnings of a number, this one included; they are never two at once."""
    (folder / f"{number}-{uuid.uuid4()}").touch()
    return beginnings(folder, number)


def beginnings(folder: Path, number) -> int:
    return len(list(folder.glob(f"{number}-*")))
