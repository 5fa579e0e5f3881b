"""Tests of atlases that store int8 codes: laid out, embedded, gone on with and verified."""

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.errors import ConfigError, DataError, MismatchError
from embed.geometry import Box
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining, run_shard
from embed.layout import Wanted
from embed.quantiser import Quantiser


def lay_out(encoder, volume, path, *, extend=False, **wanted):
    return create_atlas(
        encoder, volume, path, Wanted(shard=(8, 8, 8), **wanted), run="r", extend=extend
    )


@pytest.fixture(scope="module")
def atlases(encoder, tissue_volume, tmp_path_factory):
    """The same atlas in float16 and in int8; not to be changed."""
    folder = tmp_path_factory.mktemp("atlases")
    made = [lay_out(encoder, tissue_volume, folder / s, store=s) for s in ("float16", "int8")]
    assert [embed_shards(atlas) for atlas in made] == [[], []]
    return made


def all_of(atlas):
    return atlas.store.read(atlas.store.cells)


def test_codes_are_stored_and_say_nearly_the_same(atlases):
    exact, coded = atlases

    assert coded.store.dtype == np.int8
    assert coded.info.quantiser == coded.store.quantiser
    assert coded.info.store == "int8"
    assert exact.info.quantiser is None
    cosines = np.sum(all_of(exact) * all_of(coded), axis=-1)
    assert cosines.min() > 0.9995
    np.testing.assert_allclose(np.linalg.norm(all_of(coded), axis=-1), 1, atol=1e-5)


def test_half_of_the_bytes_are_written(atlases):
    sizes = [
        sum(file.stat().st_size for file in (atlas.path / "embeddings.zarr" / "c").rglob("0"))
        for atlas in atlases
    ]

    assert 0.45 < sizes[1] / sizes[0] < 0.65  # an index and checksums come with each shard


def test_every_shard_agrees_with_its_checksum_and_when_it_is_computed_again(atlases):
    assert verify(atlases[1], recompute=99) == []


def test_a_flipped_code_is_found(atlases, tmp_path, encoder, tissue_volume):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", store="int8")
    embed_shards(atlas)
    shard = atlas.shards[3]
    codes = atlas.store.read_stored(shard)
    codes[0, 0, 0, 0] ^= 1
    atlas.store.write(shard, codes)

    bad = verify(atlas, recompute=0)
    embed_shards(atlas)

    assert bad == [shard]
    np.testing.assert_array_equal(all_of(atlas), all_of(atlases[1]))


@pytest.mark.parametrize("store", ["int8", None])
def test_a_job_goes_on_with_the_scales_that_it_began_with(
    encoder, tissue_volume, atlases, tmp_path, monkeypatch, store
):
    begun = lay_out(encoder, tissue_volume, tmp_path / "a", store="int8")
    run_shard(begun.path, remaining(begun)[0])
    others = Quantiser((0.5,) * 7 + (1.0,))
    monkeypatch.setattr(Quantiser, "measure", lambda _: others)

    again = lay_out(encoder, tissue_volume, tmp_path / "a", store=store)
    embed_shards(again)

    assert again.info.quantiser == atlases[1].info.quantiser != others
    np.testing.assert_array_equal(all_of(again), all_of(atlases[1]))


def test_scales_that_were_changed_on_disk_are_refused(encoder, tissue_volume, tmp_path):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", store="int8")
    file = atlas.path / "embeddings.zarr" / "zarr.json"
    first = str(atlas.info.quantiser.scale[0])
    file.write_text(file.read_text().replace(first, "0.123", 1))

    with pytest.raises(DataError, match="is not the array that belongs there .it has other scale"):
        Atlas.open(atlas.path)


@pytest.mark.parametrize(("begun", "asked"), [("int8", "float16"), ("float16", "int8")])
def test_another_store_is_refused_half_way(encoder, tissue_volume, tmp_path, begun, asked):
    lay_out(encoder, tissue_volume, tmp_path / "a", store=begun)

    with pytest.raises(MismatchError, match=f"stores {begun}; leave out --store to go on with it"):
        lay_out(encoder, tissue_volume, tmp_path / "a", store=asked)


def test_a_store_that_there_is_not_is_refused(encoder, tissue_volume, tmp_path):
    with pytest.raises(ConfigError, match="--store is one of float16, int8; got 'int4'"):
        lay_out(encoder, tissue_volume, tmp_path / "a", store="int4")

    assert not (tmp_path / "a").exists()


def test_a_part_is_added_in_the_codes_of_the_first(encoder, tissue_volume, atlases, tmp_path):
    box = Box.of_shape((40, 48, 24))
    part = lay_out(encoder, tissue_volume, tmp_path / "a", store="int8", box=box)
    embed_shards(part)
    scales = part.info.quantiser

    extended = lay_out(encoder, tissue_volume, tmp_path / "a", extend=True)
    embed_shards(extended)

    assert extended.info.quantiser == scales
    assert np.sum(all_of(extended) * all_of(atlases[0]), axis=-1).min() > 0.999
    extended.require_complete()
    assert verify(extended, recompute=3) == []


def test_a_hole_is_a_void_in_codes_too(encoder, tissue, write_volume, tmp_path):
    voxels = tissue.copy()
    voxels[:, :, 30:] = 0
    made = []
    for store in ("float16", "int8"):
        atlas = lay_out(encoder, write_volume(voxels), tmp_path / store, store=store)
        assert embed_shards(atlas) == []
        made.append(atlas)

    exact, coded = (all_of(atlas).any(axis=-1) for atlas in made)
    np.testing.assert_array_equal(exact, coded)
    marks = [{k: (m.state, m.voids) for k, m in a.ledger.marks().items()} for a in made]
    assert marks[0] == marks[1]
    assert {state for state, _ in marks[1].values()} == {"done", "void"}
