"""What a build of an index has done so far, on disk: a killed one is gone on with."""

import json
import shutil
from pathlib import Path
from typing import Any

from embed.atlas import Atlas
from embed.errors import DataError, NotFoundError
from embed.storage import read_json, write_json
from serve.indexing.faiss_files import check_bytes, read_index, write_index
from serve.indexing.truth import ExactNeighbours

TRAINED_FILE = "trained.faiss"
TRUTH_FILE = "truth.npz"
FILLED = "filled"


class Workspace:
    """The trained index of a build that goes by a plan, and the same as far as it is filled.

    What is there is described last, in a JSON file of its own, so that what is described is whole.
    """

    def __init__(self, atlas: Atlas, path: Path, plan: dict[str, Any]) -> None:
        """Takes up what a build by the same plan left in a directory, and empties it otherwise."""
        self.path = path
        self._atlas = atlas
        plan = json.loads(json.dumps(plan))
        if self._described("plan") != plan:
            for found in path.iterdir():
                shutil.rmtree(found) if found.is_dir() else found.unlink()
            write_json(path / "plan.json", plan)

    def trained(self) -> dict[str, Any] | None:
        """What was said of the trained index, if it is there and whole; see `keep_trained`."""
        found = self._described("trained")
        return _of_trained(found) if found and self._is_whole(found, TRAINED_FILE) else None

    def keep_trained(
        self, index: Any, truth: ExactNeighbours, said: dict[str, Any]
    ) -> dict[str, Any]:
        """Keeps a trained, empty index, what is known of the queries, and what is to be said of it.

        What was filled with another one goes.

        Returns:
            What is said, with the size of its file as `trained_bytes` and `trained_sha256`.
        """
        for file in self.path.glob(f"{FILLED}*"):
            file.unlink()
        truth.save(self.path / TRUTH_FILE)
        return _of_trained(self._keep("trained", TRAINED_FILE, index, said))

    def empty(self) -> Any:
        """The trained index, to be filled."""
        return read_index(self.path / TRAINED_FILE)

    def keep_filled(self, index: Any, truth: ExactNeighbours, said: dict[str, Any]) -> None:
        """Keeps an index as far as it is filled, and the truth as it is known then.

        Whole: FAISS 1.15 corrupts memory when it merges parts of indices of packed codes.
        """
        known = self._described(FILLED)
        name = f"{FILLED}-{known['said']['number'] + 1 if known else 0}"
        truth.save(self.path / f"{name}.npz")
        number = int(name.removeprefix(f"{FILLED}-"))
        self._keep(FILLED, f"{name}.faiss", index, {**said, "number": number})
        for file in self.path.glob(f"{FILLED}-*"):
            if file.stem != name:
                file.unlink()

    def filled(self) -> tuple[Any, ExactNeighbours, dict[str, Any]] | None:
        """What was kept last of the index, of the truth and of what was said, if it is whole."""
        found = self._described(FILLED)
        if found is None:
            return None
        name = f"{FILLED}-{found['said']['number']}"
        if not self._is_whole(found, f"{name}.faiss"):
            return None
        truth = ExactNeighbours.load(self._atlas, self.path / f"{name}.npz")
        return read_index(self.path / f"{name}.faiss"), truth, found["said"]

    def truth(self) -> ExactNeighbours:
        """The queries, before anything is known of their neighbours."""
        return ExactNeighbours.load(self._atlas, self.path / TRUTH_FILE)

    def _keep(self, name: str, file: str, index: Any, said: dict[str, Any]) -> dict[str, Any]:
        size, sha256 = write_index(index, self.path / file)
        described = {"said": said, "bytes": size, "sha256": sha256}
        write_json(self.path / f"{name}.json", described)
        return described

    def _described(self, name: str) -> dict[str, Any] | None:
        try:
            found = read_json(self.path / f"{name}.json", "part of a build")
        except (NotFoundError, DataError):
            return None
        return found if isinstance(found, dict) else None

    def _is_whole(self, said: dict[str, Any], file: str) -> bool:
        try:
            check_bytes(self.path / file, said["bytes"], said["sha256"])
        except (DataError, KeyError):
            return False
        return True


def _of_trained(described: dict[str, Any]) -> dict[str, Any]:
    size, sha256 = described["bytes"], described["sha256"]
    return {**described["said"], "trained_bytes": size, "trained_sha256": sha256}
