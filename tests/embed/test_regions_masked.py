"""Tests of atlases of what a mask covers: what is embedded, what is read, and what is refused."""

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.errors import ConfigError
from embed.inference import embed_shards, remaining, run_shard
from embed.volume import Volume
from tests.embed.parts import covered_by, stored, write_bodies
from tests.embed.small_shards import lay_out


@pytest.fixture(scope="module")
def whole(encoder, tissue_volume, tmp_path_factory):
    """The atlas of everything; not to be changed."""
    atlas = lay_out(encoder, tissue_volume, tmp_path_factory.mktemp("atlases") / "whole")
    assert embed_shards(atlas) == []
    return atlas


@pytest.fixture
def cell_bodies(write_volume):
    return write_bodies(write_volume)


@pytest.fixture
def reads(monkeypatch):
    """Every box of voxels that is read of any volume, by the name of the volume."""
    made, read = [], Volume.read

    def noted(volume, box):
        made.append((volume.name, box))
        return read(volume, box)

    monkeypatch.setattr(Volume, "read", noted)
    return made


def test_what_a_mask_does_not_cover_is_void_and_counted_as_unwanted(
    encoder, tissue_volume, whole, cell_bodies, tmp_path
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", mask=cell_bodies)
    failed = embed_shards(atlas)

    wanted = covered_by(atlas, cell_bodies, (1, 2))
    marks = atlas.ledger.marks()
    assert failed == []
    np.testing.assert_array_equal(stored(atlas).any(axis=-1), wanted)
    np.testing.assert_allclose(
        stored(atlas)[wanted], stored(whole)[wanted], atol=1e-3, err_msg="the same embeddings"
    )
    for shard in atlas.shards:
        mark, beside = marks[atlas.shard_index(shard)], int((~wanted[shard.slices]).sum())
        assert (mark.unwanted, mark.voids, mark.locations) == (beside, beside, shard.size)
        assert mark.state == ("void" if beside == shard.size else "done")
    assert {mark.state for mark in marks.values()} == {"void", "done"}
    atlas.require_complete()
    assert verify(atlas, recompute=99) == []


def test_segments_choose_among_the_bodies_of_a_mask(encoder, tissue_volume, cell_bodies, tmp_path):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", mask=cell_bodies, segments=(2, 9, 2))
    embed_shards(atlas)

    np.testing.assert_array_equal(
        stored(atlas).any(axis=-1), covered_by(atlas, cell_bodies, (2, 9))
    )
    assert atlas.info.region.segments == (2, 9)


@pytest.mark.parametrize("by", ["all at once", "one by one"])
def test_a_shard_that_is_wholly_masked_is_not_read(
    encoder, tissue_volume, cell_bodies, tmp_path, reads, by
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", mask=cell_bodies)
    wanted = covered_by(atlas, cell_bodies, (1, 2))
    reads.clear()

    for shard in atlas.shards if by == "one by one" else ():
        run_shard(atlas.path, shard)
    embed_shards(atlas)

    seen = [atlas.grid.voxels(s) for s in atlas.shards if wanted[s.slices].any()]
    assert [box for name, box in reads if name == "tissue"] == seen
    assert 0 < len(seen) < len(atlas.shards)


def test_a_mask_is_read_at_the_centres_alone_and_not_all_around_them(
    encoder, tissue_volume, write_volume, tmp_path, reads
):
    fine = write_volume(np.ones((160, 192, 224), np.uint8), (2.5, 2.5, 2.5), name="fine.zarr")
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", mask=fine)
    reads.clear()

    assert atlas.wanted(atlas.grid.cells).all()

    assert reads == []


def test_a_mask_that_cannot_be_read_fails_the_shards_that_it_touches(
    encoder, tissue_volume, cell_bodies, tmp_path
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", mask=cell_bodies)
    (tmp_path / "bodies.zarr" / "c" / "0" / "0" / "0").write_bytes(b"cut short")

    failed = embed_shards(atlas)

    assert 0 < len(failed) < len(atlas.shards)
    assert all("of 'bodies'" in mark.reason for _, mark in failed)
    assert remaining(Atlas.open(atlas.path)) == [shard for shard, _ in failed]


def test_segments_without_a_segmentation_are_refused(encoder, tissue_volume, tmp_path):
    with pytest.raises(ConfigError, match="say which with --segmentation"):
        lay_out(encoder, tissue_volume, tmp_path / "a", segments=(1,))

    assert not (tmp_path / "a").exists()
