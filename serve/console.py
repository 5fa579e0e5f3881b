"""What the command line shows while it works, and how it takes numbers and boxes.

Results go to stdout; progress, notes and errors to stderr, so that results can be piped.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from embed.errors import ConfigError
from embed.geometry import Box, XyzFloat, Zyx

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

# Where nobody watches, a line a minute keeps a log readable and shows that the job lives.
_LOG_EVERY_S = 60.0

Advance = Callable[..., None]


def note(text: str) -> None:
    """A line for the person who watches."""
    err.print(text)


def print_json(value: Any) -> None:
    """One JSON value on stdout, for a program."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


@contextlib.contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Advance]:
    """A live bar with rate and time left, or a line a minute where stderr is no terminal.

    Args:
        what: the job, as in "training".
        total: units in all; 0 where the job itself will tell.
        unit: what is counted, in the plural.

    Yields:
        `advance(done, note="", total=total)`: units done so far, and a few words beside the bar.
    """
    if err.is_terminal:
        with _bar(what, total, unit) as advance:
            yield advance
    else:
        yield _lines(what, total, unit)


@contextlib.contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit} · {{task.fields[rate]}}{{task.fields[note]}} ·"),
        TimeElapsedColumn(),
        TextColumn("· left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, refresh_per_second=4) as bar:
        task = bar.add_task(what, total=total, rate="", note="")
        rate = _Rate(unit)

        def advance(done: int, note: str = "", total: int = total) -> None:
            words = f" · {note}" if note else ""
            bar.update(task, completed=done, total=total, note=words, rate=rate(done))

        yield advance


def _lines(what: str, total: int, unit: str) -> Advance:
    rate = _Rate(unit)
    last = time.monotonic()

    def advance(done: int, note: str = "", total: int = total) -> None:
        nonlocal last
        text = rate(done)
        if done < total and time.monotonic() - last < _LOG_EVERY_S:
            return
        last = time.monotonic()
        words = f", {note}" if note else ""
        err.print(f"{what}: {done} of {total} {unit}, {text}, {rate.left(done, total)} left{words}")

    return advance


class _Rate:
    """Units per second since the job began here; what an earlier run did does not count."""

    def __init__(self, unit: str):
        self._unit = unit
        self._began: tuple[float, int] | None = None
        self._per_s = 0.0

    def __call__(self, done: int) -> str:
        now = time.monotonic()
        if self._began is None:
            self._began = (now, done)
        elapsed = now - self._began[0]
        self._per_s = (done - self._began[1]) / elapsed if elapsed > 0 else 0.0
        return f"{_rounded(self._per_s)} {self._unit}/s"

    def left(self, done: int, total: int) -> str:
        if not self._per_s:
            return "unknown time"
        minutes, seconds = divmod(round((total - done) / self._per_s), 60)
        return f"{minutes} min {seconds} s"


def _rounded(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def parse_xyz(text: str, flag: str, unit: str) -> XyzFloat:
    """Three numbers, as in `--at 1200,860.5,600`.

    Raises:
        ConfigError: they are not three finite numbers.
    """
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"{flag} takes three numbers X,Y,Z in {unit}, as in {flag} 1200,860,600; got {text!r}"
        ) from None
    if not all(abs(v) < float("inf") for v in (x, y, z)):
        raise ConfigError(f"{flag} takes three finite numbers X,Y,Z in {unit}; got {text!r}")
    return x, y, z


def parse_steps(text: str, flag: str) -> Zyx:
    """Three whole numbers X,Y,Z of voxels, given back as ZYX.

    Raises:
        ConfigError: they are not three whole numbers of at least 1.
    """
    try:
        x, y, z = (int(part) for part in text.split(","))
    except ValueError:
        x = y = z = 0
    if min(x, y, z) < 1:
        raise ConfigError(
            f"{flag} takes three whole numbers X,Y,Z of voxels, as in {flag} 8,8,8; got {text!r}"
        )
    return z, y, x


def parse_box(text: str, flag: str) -> Box:
    """A box in voxels, as in `--box 0:250,0:250,0:120`: X, Y and Z, stops excluded.

    Raises:
        ConfigError: it is not three ranges that hold at least one voxel.
    """
    try:
        (x0, x1), (y0, y1), (z0, z1) = (
            tuple(int(n) for n in part.split(":")) for part in text.split(",")
        )
        return Box((z0, y0, x0), (z1, y1, x1))
    except ValueError:
        raise ConfigError(
            f"{flag} takes X, Y and Z ranges of voxels, stops excluded, as in {flag} "
            f"0:250,0:250,0:120; got {text!r}"
        ) from None
