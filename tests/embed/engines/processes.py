"""Waiting for processes, and whether they still run."""

import os
import time


def alive(file) -> bool:
    """Whether the process that a file is named for still runs."""
    try:
        os.kill(int(file.name), 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, what, seconds=30):
    """Asks until it holds, and fails if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)
