"""`voxkin index`: makes an atlas searchable."""

import dataclasses

from embed.atlas import Atlas
from embed.errors import DataError, NotFoundError
from serve.fleet.build import build_slabs
from serve.index import build_index
from serve.indexing.advice import usual_memory
from serve.indexing.planning import Asked, estimate, plan_index
from serve.indexing.spacing import checked_every
from serve.manifest import Manifest, index_root, read_manifest, serving_version
from serve.removal import remove, restore
from serve.verbs.arguments import AtlasPath, Flag, call
from serve.verbs.console import note, print_json, print_table, progress, say
from serve.verbs.index_arguments import (
    MakeFlags,
    MakeGroup,
    RemoveFlags,
    RemoveGroup,
    SlabFlags,
    SlabGroup,
    VersionFlags,
    VersionGroup,
    require_one_action,
)
from serve.verbs.index_telling import manifest_text, plan_json, plan_text, versions_table
from serve.versions import list_versions, roll_back, use_version


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(index, "index", words)


def index(
    atlas: AtlasPath,
    /,
    make: MakeGroup = MakeFlags(),
    versions: VersionGroup = VersionFlags(),
    locations: RemoveGroup = RemoveFlags(),
    slabs: SlabGroup = SlabFlags(),
    json: Flag = False,
) -> None:
    """Builds the index of a finished atlas and measures how much it finds.

    Where a sound index is there already only locations that are new are added, and nothing is done
    where there are none; the old one serves until the new one is whole. A build that was killed
    goes on when the same command is given again.

    Examples:
      voxkin index em.atlas --dry-run
      voxkin index em.atlas
      voxkin index em.atlas --every 2 --memory 4
      voxkin index em.atlas --list
      voxkin index em.atlas --rollback
      voxkin index em.atlas --remove-box 0:1200,0:800,0:400
      voxkin index em.atlas --slabs 4 --engine ray --address head:6379

    Args:
        atlas: the directory of the atlas.
        make: …
        versions: …
        locations: …
        slabs: …
        json: print JSON.
    """
    require_one_action(make, versions, locations, slabs)
    opened = Atlas.open(atlas)
    if versions.list:
        _tell_versions(opened, json)
    elif make.dry_run:
        _tell_plan(opened, make, slabs.wanted(_serving(opened)), json)
    else:
        manifest = _done(opened, make, versions, locations, slabs)
        if json:
            print_json(dataclasses.asdict(manifest))
        else:
            say(f"{manifest_text(manifest)}; next: voxkin serve {atlas}")


def index_atlas(
    atlas: Atlas, make: MakeFlags = MakeFlags(), slabs: SlabFlags = SlabFlags()
) -> Manifest:
    """Builds the index with progress."""
    parts, engine = slabs.wanted(_serving(atlas)), slabs.chosen()
    with progress("indexing", atlas.planned, "locations") as advance:
        if parts:
            return build_slabs(
                atlas,
                parts,
                engine,
                factory=make.factory,
                every=make.every,
                memory=make.memory_bytes,
                rebuild=make.rebuild,
                keep=make.keep,
                progress=lambda done, total: advance(done, total=total),
            )
        return build_index(
            atlas,
            factory=make.factory,
            every=make.every,
            memory=make.memory_bytes,
            rebuild=make.rebuild,
            keep=make.keep,
            progress=lambda done, total: advance(done, total=total),
            tell=note,
        )


def _done(
    atlas: Atlas,
    make: MakeFlags,
    versions: VersionFlags,
    locations: RemoveFlags,
    slabs: SlabFlags,
) -> Manifest:
    """Does what is asked for; the manifest of what serves then."""
    if versions.rollback:
        return roll_back(atlas)
    if versions.use is not None:
        return use_version(atlas, versions.use)
    if locations.restore:
        return restore(atlas, make.keep)
    if locations.remove_box or locations.remove_ids is not None:
        return remove(atlas, locations.ids(atlas), make.keep)
    return index_atlas(atlas, make, slabs)


def _serving(atlas: Atlas) -> Manifest | None:
    """The index that serves, if its description can be read."""
    try:
        return read_manifest(index_root(atlas) / serving_version(atlas))
    except (NotFoundError, DataError):
        return None


def _tell_versions(atlas: Atlas, json: bool) -> None:
    found = list_versions(atlas)
    if json:
        print_json([dataclasses.asdict(version) for version in found])
    else:
        print_table(versions_table(found))


def _tell_plan(atlas: Atlas, make: MakeFlags, slabs: int, json: bool) -> None:
    atlas.require_complete()
    every = checked_every(make.every or 1, on_grid=atlas.info.points is None)
    memory = max(slabs, 1) * (make.memory_bytes or usual_memory())
    plan = plan_index(atlas, Asked(make.factory, every, memory, 0))
    estimated = estimate(atlas, plan)
    if json:
        print_json(plan_json(plan, estimated))
    else:
        say(plan_text(atlas, plan, estimated))
