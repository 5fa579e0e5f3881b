"""`voxkin index`: makes an atlas searchable."""

import dataclasses

from embed.atlas import Atlas
from serve.arguments import AtlasPath, Flag, Word, call
from serve.console import print_json, progress, say
from serve.index import build_index
from serve.manifest import Manifest


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(index, "index", words)


def index(
    atlas: AtlasPath,
    /,
    factory: Word = None,
    rebuild: Flag = False,
    json: Flag = False,
) -> None:
    """Builds the index of a finished atlas and measures how much it finds.

    Where a sound index is there already nothing is done; while a new one is built the old one
    serves on.

    Examples:
      voxkin index em.atlas
      voxkin index em.atlas --factory IVF1024,Flat --rebuild

    Args:
        atlas: the directory of the atlas.
        factory: a FAISS factory string; chosen by the number of locations if not given.
        rebuild: build even though a sound index is there.
        json: print the manifest as JSON.
    """
    manifest = index_atlas(Atlas.open(atlas), factory, rebuild)
    if json:
        print_json(dataclasses.asdict(manifest))
        return
    say(
        f"{manifest.factory} over {manifest.count:,} locations, recall@10 {manifest.recall:.3f}, "
        f"{manifest.bytes / 1e6:,.1f} MB ({manifest.reason}); next: voxkin serve {atlas}"
    )


def index_atlas(atlas: Atlas, factory: str | None = None, rebuild: bool = False) -> Manifest:
    """Builds the index with progress."""
    with progress("indexing", atlas.planned, "locations") as advance:
        return build_index(
            atlas,
            factory=factory,
            rebuild=rebuild,
            progress=lambda done, _: advance(done),
        )
