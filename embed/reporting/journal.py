"""Lines of figures that a run appends to as it goes, one JSON object per step."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embed.storage import reports_storage, write_bytes


class Journal:
    """A file of JSON lines, each with its `step`."""

    def __init__(self, path: Path):
        self._path = path

    def append(self, line: Mapping[str, float | int]) -> None:
        """Adds a line.

        Raises:
            StorageError: the disk refuses.
        """
        with reports_storage(f"write {self._path}"), self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def keep_until(self, step: int) -> None:
        """Drops the lines of later steps, which will be done again, and one that a kill cut."""
        if self._path.exists():
            lines = [s for s in self._path.read_text().splitlines() if _step_of(s) <= step]
            write_bytes(self._path, "".join(line + "\n" for line in lines).encode())

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines, in the order of their steps; none where there is no file."""
        if not self._path.is_file():
            return []
        return [
            json.loads(s) for s in self._path.read_text().splitlines() if _step_of(s) < math.inf
        ]


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, LookupError, TypeError):
        return math.inf
