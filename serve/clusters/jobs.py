"""Maps that a server makes in the background, one of an atlas at a time."""

import contextlib
import dataclasses
import logging
import threading
from pathlib import Path
from typing import Literal

from embed.errors import VoxkinError
from serve.clusters.project import project
from serve.served import ServedAtlas
from serve.wire.status import BUG

log = logging.getLogger(__name__)

State = Literal["none", "running", "done", "failed"]


@dataclasses.dataclass(frozen=True)
class JobProgress:
    """How far a map is.

    Attributes:
        state: none where none has been asked for since the server started.
        step: how much of what is going on is done.
        of: how much it is in all; 0 where nobody knows.
        text: what is going on.
        error: why it failed.
    """

    state: State
    step: int = 0
    of: int = 0
    text: str = ""
    error: str = ""


class ProjectionJobs:
    """Makes maps in threads; UMAP runs in a process of its own. Safe to use from many threads."""

    def __init__(self) -> None:
        self._progress: dict[Path, JobProgress] = {}

    def start(self, served: ServedAtlas, sample: int) -> JobProgress:
        """Starts to make the map of an atlas.

        Args:
            sample: about how many places to lay out.

        Raises:
            BusyError: a long job is running on the atlas.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(served.slot.holding("making its map"))
            begun = self._progress[served.atlas.path] = JobProgress("running", text="starting")
            # Ends with the server: what is half made is removed by the next that makes a map.
            held = stack.pop_all()
        thread = threading.Thread(
            target=self._run, args=(served, sample, held), name="projection", daemon=True
        )
        thread.start()
        return begun

    def progress(self, served: ServedAtlas) -> JobProgress:
        """How far the map of an atlas is."""
        return self._progress.get(served.atlas.path, JobProgress("none"))

    def _run(self, served: ServedAtlas, sample: int, held: contextlib.ExitStack) -> None:
        def tell(text: str, done: int, total: int) -> None:
            self._progress[served.atlas.path] = JobProgress("running", done, total, text)

        try:
            with held:
                project(served.atlas, sample=sample, tell=tell)
            self._progress[served.atlas.path] = JobProgress("done")
        except VoxkinError as error:
            self._progress[served.atlas.path] = JobProgress("failed", error=str(error))
        except Exception:
            log.exception("making the map of %s failed", served.name)
            self._progress[served.atlas.path] = JobProgress("failed", error=BUG)
