"""Atlases of the tissue in eight shards of 16 cells an edge, and what is stored of them."""

from embed.grid_layout import create_atlas
from embed.layout import Wanted

SHARDS = [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)]
"""The shards, of 16 cells an edge, of the 17 x 21 x 25 locations of the tissue."""


def lay_out(encoder, volume, path, run="r", **wanted):
    """An atlas in shards of 16 cells an edge, small as the volume is."""
    return create_atlas(encoder, volume, path, Wanted(shard=(16, 16, 16), **wanted), run=run)


def shard_files(atlas):
    """What is stored, by name; a lock that a killed process left is nothing stored."""
    root = atlas.path / "embeddings.zarr"
    files = [f for f in root.rglob("*") if f.is_file() and not f.name.endswith("__lock")]
    return {str(f.relative_to(root)): f.read_bytes() for f in files}


def shard_file(atlas, index):
    return atlas.path / "embeddings.zarr" / "c" / "/".join(map(str, index)) / "0"


def box_of(atlas, index):
    return next(
        box for box in atlas.store.shards if tuple(a // 16 for a in box.start) == tuple(index)
    )


def assert_same(atlas, other):
    """Both hold the same bytes and the same marks."""
    assert shard_files(atlas) == shard_files(other)
    assert atlas.ledger.marks() == other.ledger.marks()
