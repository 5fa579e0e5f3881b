"""Folders that take long to fill: what a killed run did is kept, and only the rest is done."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embed.errors import DataError, NotFoundError
from embed.reporting.journal import Journal
from embed.storage import read_json, write_json
from serve.swap import resuming, take_place

# In the finished folder: what it was made of, and what came of it.
_SUMMARY = "voxkin.json"


@dataclasses.dataclass(eq=False)
class Making:
    """A folder that is being filled, part by part.

    Attributes:
        folder: to write into.
        done: what was noted of each part that is whole, by its number.
        summary: what is kept with the finished folder, for `finished`.
    """

    folder: Path
    journal: Journal
    done: dict[int, dict[str, Any]]
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)

    def note(self, part: int, **figures: int) -> None:
        """Notes that a part is written, whole.

        Raises:
            StorageError: the disk refuses.
        """
        self.done[part] = figures
        self.journal.append({"step": part, **figures})


def finished(path: Path, made_of: str) -> dict[str, Any] | None:
    """The summary of a finished folder; None where there is none, or it was made of something else.

    Args:
        path: of the folder.
        made_of: digest of everything that decides what is in it.
    """
    try:
        found = read_json(path / _SUMMARY, "summary")
    except (NotFoundError, DataError):
        return None
    return found["summary"] if found.get("made_of") == made_of else None


@contextlib.contextmanager
def making(path: Path, made_of: str) -> Iterator[Making]:
    """A folder to fill, which takes the place of `path` when the block ends without an error.

    What was at `path` stays until then. A run that was killed or stopped is gone on with by the
    next that makes the same thing; one that fails leaves nothing.

    Args:
        path: of the folder.
        made_of: digest of everything that decides what will be in it.

    Raises:
        IncompleteError: another process is making something beside it.
        StorageError: the disk refuses; what was there stays.
    """
    with resuming(path.with_name(f".{path.name}.work")) as work:
        for leftover in work.iterdir():
            if leftover.stem != made_of:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        folder, journal = work / made_of, Journal(work / f"{made_of}.jsonl")
        folder.mkdir(exist_ok=True)
        journal.keep_until(2**62)
        lines = {int(line.pop("step")): line for line in journal.lines()}
        made = Making(folder, journal, lines)
        yield made
        write_json(folder / _SUMMARY, {"made_of": made_of, "summary": made.summary})
        take_place(folder, path)
