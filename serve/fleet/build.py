"""Making an index in slabs."""

from embed.atlas import Atlas
from embed.engines.engine import Engine
from serve.fleet.job import AskedInSlabs, SlabsJob
from serve.indexing.advice import usual_memory
from serve.indexing.build import WORK, sound_index
from serve.indexing.factory import Factory
from serve.indexing.spacing import checked_every
from serve.locations import Progress, count_locations
from serve.manifest import Manifest, index_root
from serve.swap import resuming
from serve.versions import KEPT, checked_keep, next_version, put_in_service


def build_slabs(
    atlas: Atlas,
    slabs: int,
    engine: Engine | None = None,
    *,
    factory: str | None = None,
    every: int | None = None,
    memory: int | None = None,
    seed: int = 0,
    rebuild: bool = False,
    keep: int = KEPT,
    progress: Progress | None = None,
) -> Manifest:
    """Builds the index of a finished atlas in slabs; the old one serves until all are whole.

    It is trained here, and filled by a task for each slab. Nothing is done where a sound index of
    this kind holds all locations; otherwise all slabs are built anew. A build that was killed goes
    on where it stopped.

    Args:
        atlas: must be complete; the engine's workers see it under the same path.
        slabs: how many.
        engine: runs the tasks; they are run here, one after the other, where it is None.
        factory: FAISS factory string, or "Flat"; that of the serving index, or advised, where it
            is None.
        every: 1 or 2, see `serve.indexing.spacing`; as it is, or 1, where it is None.
        memory: bytes that a slab of an advised index may take; half of this machine's where it is
            None.
        seed: of the training sample and of k-means.
        rebuild: begin anew even though a sound index is there.
        keep: versions that stay, the new one counted in.
        progress: called with the locations of the slabs that are whole and all there are.

    Raises:
        IncompleteError: the atlas is unfinished, or another process is building its index.
        ConfigError: the atlas cannot be cut in so many slabs, or as `build_index`.
        DataError: an embedding cannot be read, or no location has data.
        StorageError: the disk refuses; the old index serves on.
        UnavailableError: a task could not be run to its end.
    """
    atlas.require_complete()
    checked_keep(keep)
    if factory is not None:
        Factory(factory)
    found = None if rebuild else sound_index(atlas, factory, every)
    if found and len(found.slabs) == slabs and found.locations == count_locations(atlas):
        return found
    spacing = every or (found.every if found else 1)
    checked_every(spacing, on_grid=atlas.info.points is None)
    kind = factory or (found.factory if found else None)
    asked = AskedInSlabs(kind, spacing, slabs * (memory or usual_memory()), seed, slabs)
    with resuming(index_root(atlas) / WORK) as work:
        name = next_version(atlas)
        manifest = SlabsJob(atlas, asked, work, engine).run(
            work / name, progress or (lambda *_: None)
        )
        (work / name).rename(index_root(atlas) / name)
        put_in_service(atlas, name, keep)
    return manifest
