"""Building one slab: a task that may run anywhere that sees the atlas, and more than once.

It is filled by an empty index that was trained before, goes on where a killed one stopped, and
leaves beside the slab what its queries find in it, so that nobody has to open all slabs at once to
measure what they find together.
"""

import contextlib
import dataclasses
import time
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, Int
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

from embed.atlas import Atlas
from embed.errors import DataError, NotFoundError
from embed.geometry import Box
from embed.storage import read_json, reports_storage, write_json
from serve.fleet.slabs import Found, Slab
from serve.indexing.faiss_files import read_index, write_index
from serve.indexing.faiss_search import FaissSearch
from serve.indexing.filling import Filled, fill
from serve.indexing.spacing import representatives
from serve.indexing.truth import ExactNeighbours
from serve.indexing.workspace import TRAINED_FILE, TRUTH_FILE, Workspace
from serve.locations import Locations


@dataclasses.dataclass(frozen=True)
class SlabTask:
    """What is to be built.

    Attributes:
        atlas: its directory.
        work: directory with the trained index and its queries, and for what comes of it.
        trained: SHA-256 of the trained index.
        number: of the slab.
        shards: that it holds.
        every: see `serve.indexing.spacing`.
        nprobes: numbers of lists to answer the queries with.
        candidates: numbers of candidates to time, the largest of which are kept.
    """

    atlas: Path
    work: Path
    trained: str
    number: int
    shards: tuple[Box, ...]
    every: int
    nprobes: tuple[int, ...]
    candidates: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Answers:
    """What queries find in a slab.

    Attributes:
        similarities: float32 [nprobes, queries, candidates], best first.
        ids: the same.
        cpu_s: [nprobes, candidates] of finding them; see `SlabTask`.
    """

    similarities: Float32[np.ndarray, "p q k"]
    ids: Int[np.ndarray, "p q k"]
    cpu_s: Float64[np.ndarray, "p c"]


@dataclasses.dataclass(frozen=True)
class BuiltSlab:
    """A slab that is whole.

    Attributes:
        slab: its description.
        seen: locations with data in its shards.
    """

    slab: Slab
    seen: int


def build_slab(task: SlabTask) -> BuiltSlab:
    """Builds a slab, or finds it whole.

    Raises:
        DataError: a shard is corrupt, or data that the ledger counted are gone.
        StorageError: the disk refuses.
    """
    done = task.work / f"{_name(task)}.json"
    with contextlib.suppress(NotFoundError):
        found = read_json(done, "slab")
        if found["trained"] == task.trained:
            return BuiltSlab(Slab(**found["slab"]), found["seen"])
    with reports_storage(f"write in {task.work}"):
        built = _built(task)
        write_json(done, {**dataclasses.asdict(built), "trained": task.trained})
    return built


def truth_of(atlas: Atlas, task: SlabTask) -> ExactNeighbours:
    """The nearest neighbours of the queries in a slab that was built.

    Raises:
        DataError: the file with them is damaged.
    """
    return ExactNeighbours.load(atlas, task.work / f"{_name(task)}-truth.npz")


def answers_of(task: SlabTask) -> Answers:
    """What the queries found in a slab that was built.

    Raises:
        DataError: the file with it is damaged.
    """
    path = task.work / f"{_name(task)}-answers.npz"
    try:
        with np.load(path) as found:
            return Answers(found["similarities"], found["ids"], found["cpu_s"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(f"{path} is damaged or missing ({error})") from None


def _built(task: SlabTask) -> BuiltSlab:
    atlas, name = Atlas.open(task.atlas), _name(task)
    own = task.work / name
    own.mkdir(exist_ok=True)
    begun = Filled(
        read_index(task.work / TRAINED_FILE),
        ExactNeighbours.load(atlas, task.work / TRUTH_FILE),
        0,
    )
    space = Workspace(atlas, own, {"trained": task.trained})

    def chosen(places: Locations) -> np.ndarray:
        if task.every == 1:
            return _all(places)
        return representatives(atlas.grid, places.ids)

    filled = fill(atlas, space, begun, task.shards, _all, chosen, lambda *_: None)
    file = f"{name}.faiss"
    size, sha256 = write_index(filled.index, task.work / file)
    filled.truth.save(task.work / f"{name}-truth.npz")
    answers = _answers(FaissSearch(filled.index), filled.truth.queries.vectors, task)
    np.savez(task.work / f"{name}-answers.npz", **vars(answers))
    ends = np.array([[box.start, np.array(box.stop) - 1] for box in task.shards])
    ids = atlas.grid.ids(ends.reshape(-1, 3))
    start, stop = int(ids.min()), int(ids.max()) + 1
    slab = Slab(file, start, stop, filled.index.ntotal, size, sha256)
    return BuiltSlab(slab, filled.seen)


def _answers(search: FaissSearch, queries: Float32[np.ndarray, "q dim"], task: SlabTask) -> Answers:
    most = max(task.candidates)
    found: list[Found] = []
    cpu_s = np.zeros((len(task.nprobes), len(task.candidates)))
    with threadpool_limits(1):  # threads that wait for others would be counted in
        for row, nprobe in enumerate(task.nprobes):
            found.append(search(queries, most, nprobe))
            for column, k in enumerate(task.candidates):
                began = time.process_time()
                search(queries, k, nprobe)
                cpu_s[row, column] = time.process_time() - began
    similarities, ids = map(np.stack, zip(*found, strict=True))
    return Answers(similarities, ids, cpu_s)


def _name(task: SlabTask) -> str:
    return f"slab-{task.number}"


def _all(places: Locations) -> np.ndarray:
    return np.ones(len(places.ids), bool)
