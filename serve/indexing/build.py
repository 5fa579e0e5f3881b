"""Making an index of an atlas, or adding to it what is new: what is to be done, and doing it."""

from collections.abc import Callable

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, NotFoundError
from serve.indexing.extension import Base, why_not_extended
from serve.indexing.factory import Factory
from serve.indexing.job import Job
from serve.indexing.planning import Asked
from serve.indexing.spacing import checked_every
from serve.locations import Progress, count_locations
from serve.manifest import Manifest, current_manifest, index_root
from serve.swap import resuming
from serve.versions import KEPT, checked_keep, next_version, put_in_service

WORK = ".building"
"""The directory, beside the versions, of a build that has not ended."""

Tell = Callable[[str], None]


def build_index(
    atlas: Atlas,
    *,
    factory: str | None = None,
    every: int | None = None,
    memory: int | None = None,
    seed: int = 0,
    rebuild: bool = False,
    keep: int = KEPT,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> Manifest:
    """Builds the index of a finished atlas; the old one serves until the new one is whole.

    Where a sound index of this kind is there, only locations that are new to it are added, and
    nothing is done where there are none. A build that was killed goes on where it stopped.

    Args:
        atlas: must be complete.
        factory: FAISS factory string, or "Flat"; that of the serving index, or advised, where it
            is None.
        every: 1 or 2, see `serve.indexing.spacing`; as it is, or 1, where it is None.
        memory: bytes that an advised index may take; half of the machine's where it is None.
        seed: of the training sample and of k-means.
        rebuild: begin anew even though a sound index is there.
        keep: versions that stay, the new one counted in.
        progress: called with the locations that were added and all there are to add.
        tell: called with what a person should know.

    Raises:
        IncompleteError: the atlas is unfinished, or another process is building its index.
        ConfigError: the factory does not work here, asks for more lists than locations or what is
            advised does not fit in the memory.
        DataError: an embedding cannot be read, or no location has data.
        StorageError: the disk refuses; the old index serves on.
    """
    atlas.require_complete()
    checked_keep(keep)
    if factory is not None:
        Factory(factory)
    found = None if rebuild else sound_index(atlas, factory, every)
    if found is not None and found.slabs:  # of the same kind, but in no file that can be added to
        factory, every, found = found.factory, found.every, None
    if found is not None and found.locations == count_locations(atlas):
        return found
    spacing = every or (found.every if found else 1)
    checked_every(spacing, on_grid=atlas.info.points is None)
    base = _base(atlas, found, tell or (lambda _: None)) if found else None
    asked = Asked(base.manifest.factory if base else factory, spacing, memory, seed)
    with resuming(index_root(atlas) / WORK) as work:
        name = next_version(atlas)
        job = Job(atlas, asked, base, work)
        manifest = job.run(work / name, progress or (lambda *_: None))
        (work / name).rename(index_root(atlas) / name)
        put_in_service(atlas, name, keep)
    return manifest


def sound_index(atlas: Atlas, factory: str | None, every: int | None) -> Manifest | None:
    """The serving index, if it is whole and one that is asked for."""
    try:
        manifest, _ = current_manifest(atlas)
    except (NotFoundError, MismatchError, DataError):
        return None
    alike = factory in (None, manifest.factory) and every in (None, manifest.every)
    return manifest if alike else None


def _base(atlas: Atlas, manifest: Manifest, tell: Tell) -> Base | None:
    """What is added to, if that can be done."""
    reason = why_not_extended(manifest, count_locations(atlas))
    try:
        base = None if reason else Base(atlas, manifest)
    except DataError as error:
        base, reason = None, str(error)
    if base is None:
        tell(f"the index is built anew: {reason}")
    return base
