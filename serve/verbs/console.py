"""What the command line shows: results on stdout, and on stderr notes and progress.

So results can be piped, and progress is a bar where somebody watches and a line a minute in a log.
"""

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from embed.storage import reports_storage

# What people and files are called is shown as it is, never taken for markup.
_err = Console(stderr=True, highlight=False, markup=False, emoji=False)

# Where nobody watches, a line a minute keeps a log readable and shows that the job lives.
_LOG_EVERY_S = 60.0
# Stages that pass more quickly than this are not worth a line of a log.
_STAGE_S = 5.0
# Without a window to fit, wide enough that no row of ours is folded.
_PIPED_WIDTH = 200

Advance = Callable[..., None]


def say(text: str) -> None:
    """A result, on stdout.

    Raises:
        StorageError: stdout is a file on a disk that is full.
    """
    with reports_storage("write to the standard output"):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def note(text: str) -> None:
    """A line for the person who watches, on stderr."""
    _err.print(text, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON value on stdout, for a program; what is no finite number becomes null."""
    say(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_table(table: Table) -> None:
    """A result of several rows, on stdout."""
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    with reports_storage("write to the standard output"):
        console.print(table)
        sys.stdout.flush()


def plain_table(title: str | None = None, *, names: str = "", numbers: str = "") -> Table:
    """An empty table with few lines, easy to read and to cut apart.

    Args:
        title: above it.
        names: headings of the columns to the left, separated by `|`.
        numbers: headings of the columns to the right of them, whose cells end flush.
    """
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    for heading in filter(None, names.split("|")):
        table.add_column(heading)
    for heading in filter(None, numbers.split("|")):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def progress(what: str, total: int, unit: str, *, rated: bool = True) -> Iterator[Advance]:
    """A live bar with rate and time left, or a line a minute where stderr is no terminal.

    Args:
        what: the job, as in "training".
        total: units in all; 0 where the job itself will tell.
        unit: what is counted, in the plural.
        rated: whether to show units per second; not where the job's own words tell a better rate.

    Yields:
        `advance(done, note="", total=total)`: units done so far, and a few words beside the bar.
    """
    show = _bar if _err.is_terminal else _lines
    with show(what, total, unit, rated) as advance:
        yield advance


@contextlib.contextmanager
def stages(what: str) -> Iterator[Callable[[str], None]]:
    """Shows which stage a job is in that cannot say how much is left.

    Yields:
        `tell(stage)`.
    """
    if _err.is_terminal:
        with _err.status(what) as status:
            yield lambda stage: status.update(f"{what}: {stage}")
        return
    last = time.monotonic()

    def tell(stage: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _STAGE_S:
            last = time.monotonic()
            note(f"{what}: {stage}")

    yield tell


@contextlib.contextmanager
def _bar(what: str, total: int, unit: str, rated: bool) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]} ·", markup=False),
        TimeElapsedColumn(),
        TextColumn("· left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_err, refresh_per_second=4) as bar:
        task = bar.add_task(what, total=total or None, words=unit)
        rate = _Rate()

        def advance(done: int, note: str = "", total: int = total) -> None:
            rate.update(done)
            words = " · ".join(filter(None, (unit, rate.text if rated else "", note)))
            bar.update(task, completed=done, total=total or None, words=words)

        yield advance


@contextlib.contextmanager
def _lines(what: str, total: int, unit: str, rated: bool) -> Iterator[Advance]:
    rate = _Rate()
    last, lines = time.monotonic(), 0

    def advance(done: int, note: str = "", total: int = total) -> None:
        nonlocal last, lines
        rate.update(done)
        # A job of less than a minute has its result to show for it; a longer one has its end told.
        ended = done == total and lines > 0
        if not ended and time.monotonic() - last < _LOG_EVERY_S:
            return
        last, lines = time.monotonic(), lines + 1
        left = rate.left(total - done) if total > done else ""
        words = (f"{done:,} of {total:,} {unit}", rate.text if rated else "", note, left)
        _err.print(f"{what}: {', '.join(filter(None, words))}", soft_wrap=True)

    yield advance


class _Rate:
    """Units per second since the first update; what an earlier run did does not count."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self._per_s = 0.0

    def update(self, done: int) -> None:
        now = time.monotonic()
        self._began = self._began or (now, done)
        elapsed = now - self._began[0]
        self._per_s = (done - self._began[1]) / elapsed if elapsed > 0 else 0.0

    @property
    def text(self) -> str:
        """As in "1,200/s"; empty where nothing is known yet."""
        if not self._per_s:
            return ""
        return f"{self._per_s:.1f}/s" if self._per_s < 10 else f"{self._per_s:,.0f}/s"

    def left(self, units: int) -> str:
        """How long so many more will take, in words; empty where nothing is known yet."""
        if not self._per_s:
            return ""
        minutes, seconds = divmod(round(units / self._per_s), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min left" if hours else f"{minutes} min {seconds} s left"
