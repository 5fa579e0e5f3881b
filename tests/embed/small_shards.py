"""Atlases of the tissue in shards of 8 cells an edge, and what is stored of them."""

from embed.grid_layout import create_atlas
from embed.layout import Wanted


def lay_out(encoder, volume, path, *, extend=False, shard=(8, 8, 8), **wanted):
    return create_atlas(
        encoder, volume, path, Wanted(shard=shard, **wanted), run="r", extend=extend
    )


def stored_files(atlas):
    """The files of the shards, by shard; a lock that a killed process left is none."""
    root = atlas.path / "embeddings.zarr" / "c"
    files = (f for f in root.rglob("*") if f.is_file() and f.name.isdigit())
    return {tuple(map(int, f.relative_to(root).parts[:3])): f for f in files}


def assert_same(atlas, other):
    """Both hold the same bytes and the same marks."""
    mine, theirs = stored_files(atlas), stored_files(other)
    assert mine.keys() == theirs.keys()
    assert all(mine[shard].read_bytes() == theirs[shard].read_bytes() for shard in mine)
    assert atlas.ledger.marks() == other.ledger.marks()
