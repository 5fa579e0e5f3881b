"""One build of an index in slabs: trained once, filled by tasks, measured as a whole."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from embed.atlas import Atlas
from embed.engines.engine import Engine, Failure
from embed.errors import UnavailableError
from embed.storage import digest
from serve.fleet.slab_build import BuiltSlab, SlabTask, answers_of, build_slab, truth_of
from serve.fleet.slabs import best, cut_in_slabs
from serve.indexing.factory import Factory
from serve.indexing.filling import Filled
from serve.indexing.job import Job
from serve.indexing.planning import Asked
from serve.indexing.spacing import around
from serve.indexing.sweep import Searched, Step, probes, sweep
from serve.indexing.truth import NEAREST
from serve.locations import Progress
from serve.swap import link_or_copy


@dataclasses.dataclass(frozen=True)
class AskedInSlabs(Asked):
    """What kind of index is asked for; `memory` is what all slabs may take together.

    Attributes:
        slabs: how many.
    """

    slabs: int


class SlabsJob(Job):
    """One build."""

    def __init__(
        self, atlas: Atlas, asked: AskedInSlabs, work: Path, engine: Engine | None
    ) -> None:
        """Takes up what a killed build of the same left behind.

        Args:
            atlas: complete.
            asked: kind of index.
            work: directory for what is done so far; the engine's workers see it, too.
            engine: runs a task for each slab; they are built here, one after the other, where it
                is None.

        Raises:
            ConfigError: the atlas cannot be cut in so many.
        """
        super().__init__(atlas, asked, None, work)
        self._runs = cut_in_slabs(atlas, asked.slabs)
        self._engine = engine
        self._tasks: tuple[SlabTask, ...] = ()
        self._built: dict[int, BuiltSlab] = {}

    def _filled(self, progress: Progress) -> Filled:
        said = self._space.trained()
        assert said is not None  # it was trained just before
        searched = self._searched(Factory(said["factory"]))
        self._tasks = tuple(
            SlabTask(
                self._atlas.path.resolve(),
                self._space.path.resolve(),
                said["trained_sha256"],
                number,
                shards,
                self._asked.every,
                probes(searched.lists),
                (*searched.refined, searched.most),
            )
            for number, shards in enumerate(self._runs)
        )
        total, done = sum(box.size for run in self._runs for box in run), 0
        for task, built in self._run():
            self._built[task.number] = built
            done += sum(box.size for box in task.shards)
            progress(done, total)
        truth = self._space.truth()
        parts = [truth_of(self._atlas, task).best for task in self._tasks]
        truth.best = np.sort(np.concatenate(parts, axis=1), axis=1)[:, -NEAREST:]
        seen = sum(built.seen for built in self._built.values())
        return Filled(None, truth, seen)

    def _run(self) -> Iterator[tuple[SlabTask, BuiltSlab]]:
        if self._engine is None:
            yield from ((task, build_slab(task)) for task in self._tasks)
            return
        for task, result in self._engine.run(build_slab, self._tasks):
            if isinstance(result, Failure):
                raise result.error or UnavailableError(
                    f"slab {task.number} could not be built: {result.reason}; give the same "
                    "command again, and what is done stays"
                )
            yield task, result

    def _write(self, filled: Filled, directory: Path) -> dict[str, Any]:
        slabs = tuple(self._built[task.number].slab for task in self._tasks)
        for slab in slabs:
            link_or_copy(self._space.path / slab.file, directory / slab.file)
        return {
            "count": sum(slab.count for slab in slabs),
            "bytes": sum(slab.bytes for slab in slabs),
            "sha256": digest(*(slab.sha256.encode() for slab in slabs)),
            "slabs": slabs,
        }

    def _swept(self, factory: Factory, filled: Filled) -> tuple[Step, ...]:
        return sweep(self._searched(factory), filled.truth)

    def _searched(self, factory: Factory) -> Searched:
        grid, answers = self._atlas.grid, _Answers(self._tasks)
        return Searched(
            self._atlas,
            answers.search,
            None if self._asked.every == 1 else lambda ids: around(grid, ids),
            factory.lists,
            factory.holds_vectors,
            lambda: answers.cpu_s,
        )


class _Answers:
    """What the queries find in all slabs together, as the tasks have left it.

    Attributes:
        cpu_s: that the tasks took for the searches that were asked for.
    """

    def __init__(self, tasks: Sequence[SlabTask]) -> None:
        self._tasks = tasks
        self.cpu_s = 0.0

    def search(
        self, queries: Float32[np.ndarray, "q dim"], k: int, nprobe: int
    ) -> Int[np.ndarray, "q k"]:
        """See `serve.indexing.sweep.Search`; of no other queries than those of the tasks."""
        parts = []
        for task in self._tasks:
            answers = answers_of(task)
            row, column = task.nprobes.index(nprobe), task.candidates.index(k)
            parts.append((answers.similarities[row], answers.ids[row]))
            self.cpu_s += float(answers.cpu_s[row, column])
        return best(parts, len(queries), k)[1]
