"""Tests of embed/regions.py, and of atlases of parts of a volume."""

import dataclasses
import json
import math

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.atlas import Atlas
from embed.audit import verify
from embed.errors import ConfigError, DataError, IncompleteError, MismatchError
from embed.geometry import Box, Frame, Grid, zyx
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining, run_shard
from embed.job import Job
from embed.layout import Wanted
from embed.regions import OpenRegion, Region, require_mask, union
from embed.volume import Volume

VOLUME_FRAME = Frame((10.0, 10.0, 10.0), (-40.0, 20.0, 0.0))
EVERYWHERE = Box((-999, -999, -999), (999, 999, 999))


def triples(low, high):
    return st.tuples(*[st.integers(low, high)] * 3)


# Finer, equal and coarser than the volume, so that centres fall on edges of voxels and between.
sizes = st.tuples(*[st.sampled_from([2.5, 4.0, 5.0, 10.0, 20.0, 35.0])] * 3)
masks = st.tuples(triples(1, 9), triples(-6, 6), sizes, triples(-30, 30), st.integers(0, 99))
grids = st.tuples(triples(-9, 9), triples(1, 6), triples(1, 5), triples(1, 6))
parts = st.tuples(triples(0, 5), triples(1, 6))
segments = st.sets(st.integers(0, 4), max_size=3)


@pytest.fixture(scope="module")
def mask_of(tissue_volume):
    """Makes a mask in memory of drawn numbers: shape, first voxel, voxel size, origin, seed."""

    def made(drawn):
        shape, start, size, origin, seed = drawn
        values = np.random.default_rng(seed).integers(0, 5, shape).astype(np.uint32)
        store = ts.array(values)[ts.d[:].translate_to[start]][ts.d[:].label["z", "y", "x"]]
        return dataclasses.replace(
            tissue_volume,
            box=Box.of_shape(shape, start),
            frame=Frame(size, tuple(map(float, origin))),
            dtype=values.dtype,
            store=store,
        )

    return made


def opened(region, grid, mask=None):
    """A region whose mask is the one given."""
    found = OpenRegion(region, grid, VOLUME_FRAME)
    found.__dict__["_mask"] = mask
    return found


def one_by_one(grid, mask, chosen, cells):
    """Whether the mask has a chosen value at the centre of each cell, which is looked up alone.

    None stands for what lies beyond its end.
    """
    held = {zyx(np.add(v, mask.box.start)): n for v, n in np.ndenumerate(mask.read(mask.box))}
    found = np.zeros(cells.shape, bool)
    for place in np.ndindex(cells.shape):
        seen = grid.voxels(Box.of_shape((1, 1, 1), zyx(np.add(place, cells.start))))
        centre = np.add(seen.start, seen.stop) / 2
        nm_zyx = centre * VOLUME_FRAME.voxel_size_nm + VOLUME_FRAME.origin_nm
        axes = zip(nm_zyx, mask.frame.origin_nm, mask.frame.voxel_size_nm, strict=True)
        voxel = zyx(math.floor((nm - origin) / size + 1e-9) for nm, origin, size in axes)
        found[place] = chosen(held.get(voxel))
    return found


@settings(max_examples=60, deadline=None)
@given(masks, grids, parts)
def test_a_mask_covers_the_cells_whose_centres_lie_on_it(mask_of, drawn, grid, part):
    mask, grid = mask_of(drawn), Grid(*grid)
    cells = Box.of_shape(part[1], part[0])
    region = opened(Region(EVERYWHERE, mask.source), grid, mask)

    found = region.covers(cells)

    on_grid = one_by_one(grid, mask, bool, cells)
    beyond = np.array([*np.ndindex(cells.shape)]) + cells.start >= grid.shape
    on_grid[beyond.any(axis=1).reshape(cells.shape)] = False
    np.testing.assert_array_equal(found, on_grid)


@settings(max_examples=60, deadline=None)
@given(masks, grids, segments)
def test_segments_cover_the_cells_whose_centres_lie_on_one_of_them(mask_of, drawn, grid, ids):
    mask, grid = mask_of(drawn), Grid(*grid)
    region = opened(Region(EVERYWHERE, mask.source, tuple(ids)), grid, mask)

    found = region.covers(grid.cells)

    chosen = ids.__contains__ if ids else bool
    np.testing.assert_array_equal(found, one_by_one(grid, mask, chosen, grid.cells))


@settings(max_examples=60, deadline=None)
@given(masks, grids, triples(-12, 30), triples(1, 30))
def test_a_box_takes_the_cells_whose_whole_field_of_view_lies_in_it(
    mask_of, drawn, grid, start, shape
):
    mask, grid, box = mask_of(drawn), Grid(*grid), Box.of_shape(shape, start)

    alone = opened(Region(box), grid).covers(grid.cells)
    masked = opened(Region(box, mask.source), grid, mask).covers(grid.cells)

    inside = [
        box.contains(grid.voxels(Box.of_shape((1, 1, 1), cell))) for cell in np.ndindex(grid.shape)
    ]
    np.testing.assert_array_equal(alone.ravel(), inside)
    np.testing.assert_array_equal(masked, alone & one_by_one(grid, mask, bool, grid.cells))


@settings(max_examples=60, deadline=None)
@given(masks, grids, parts, parts)
def test_the_union_of_regions_covers_what_one_of_them_covers(mask_of, drawn, grid, a, b):
    mask, grid = mask_of(drawn), Grid(*grid)
    first, second = (Box.of_shape(np.add(n, grid.fov).tolist(), grid.start) for n in (a[1], b[1]))
    regions = [opened(Region(first), grid), opened(Region(second, mask.source), grid, mask)]

    found = union(regions, grid.cells)

    expected = regions[0].covers(grid.cells) | regions[1].covers(grid.cells)
    np.testing.assert_array_equal(found, expected)


def test_large_ids_are_told_apart(tissue_volume, write_volume):
    labels = np.full((40, 48, 56), 2**63 + 1, np.uint64)
    labels[:20] = 2**63
    mask = write_volume(labels, name="labels.zarr")
    grid = Grid.covering(tissue_volume.box, (7, 7, 7), (2, 2, 2))

    found = OpenRegion(
        Region(tissue_volume.box, mask.source, (2**63,)), grid, tissue_volume.frame
    ).covers(grid.cells)

    centres = np.arange(grid.shape[0]) * 2 + 3.5
    np.testing.assert_array_equal(found.all(axis=(1, 2)), centres < 20)


def test_a_mask_of_no_integers_is_refused(tissue_volume, write_volume):
    mask = write_volume(np.ones((4, 4, 4), np.float32), name="mask.zarr")

    with pytest.raises(MismatchError, match="mask holds float32; a mask or seg.* holds integers"):
        require_mask(tissue_volume, mask)


def test_a_mask_of_booleans_will_do(tissue_volume, write_volume):
    require_mask(tissue_volume, write_volume(np.ones((4, 4, 4), bool), name="mask.zarr"))


@pytest.mark.parametrize("start", [(40, 0, 0), (0, 48, 0), (0, 0, 56), (-4, 0, 0), (99, 99, 99)])
def test_a_mask_that_only_touches_the_volume_or_lies_elsewhere_is_refused(
    tissue_volume, mask_of, start
):
    mask = mask_of(((4, 4, 4), start, (10.0, 10.0, 10.0), (0, 0, 0), 0))
    z, y, x = (10 * a for a in start)

    with pytest.raises(MismatchError, match="they have no place in common") as error:
        require_mask(tissue_volume, mask)

    assert f"covers ({x}, {y}, {z}) to ({x + 40}, {y + 40}, {z + 40}) nm (XYZ)" in str(error.value)
    assert "(0, 0, 0) to (560, 480, 400)" in str(error.value)


# Atlases, in shards of 8 cells an edge, of the 17 x 21 x 25 locations of the tissue.

SHARD = (8, 8, 8)
BOX = Box((0, 0, 0), (21, 21, 37))
"""Holds 8 x 8 x 16 cells, which are two whole shards."""

OVERLAPPING = Box((0, 0, 18), (21, 21, 53))
"""Begins inside the second of these shards and ends inside the third: cells 9 to 23."""


def lay_out(encoder, volume, path, *, extend=False, **wanted):
    return create_atlas(
        encoder, volume, path, Wanted(shard=SHARD, **wanted), run="r", extend=extend
    )


def stored(atlas):
    return atlas.store.read_stored(atlas.store.cells)


def files(atlas):
    """When each stored shard was written, and what it holds."""
    root = atlas.path / "embeddings.zarr" / "c"
    found = [file for file in root.rglob("*") if file.is_file() and file.name.isdigit()]
    return {
        tuple(map(int, file.relative_to(root).parts[:3])): (
            file.stat().st_mtime_ns,
            file.read_bytes(),
        )
        for file in found
    }


@pytest.fixture(scope="module")
def whole(encoder, tissue_volume, tmp_path_factory):
    """The atlas of everything; not to be changed."""
    atlas = lay_out(encoder, tissue_volume, tmp_path_factory.mktemp("atlases") / "whole")
    assert embed_shards(atlas) == []
    return atlas


@pytest.fixture
def part(encoder, tissue_volume, tmp_path):
    """A finished atlas of `BOX`."""
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", box=BOX)
    assert embed_shards(atlas) == []
    return atlas


@pytest.fixture
def reads(monkeypatch):
    """Every box of voxels that is read of any volume, by the name of the volume."""
    made, read = [], Volume.read

    def noted(volume, box):
        made.append((volume.name, box))
        return read(volume, box)

    monkeypatch.setattr(Volume, "read", noted)
    return made


@pytest.fixture
def cell_bodies(write_volume):
    """A mask of twice the voxel size with two bodies, 1 and 2, in the lower and the upper third."""
    labels = np.zeros((20, 24, 28), np.uint16)
    labels[:6, 2:9, 2:9] = 1
    labels[15:] = 2
    return write_volume(labels, (20.0, 20.0, 20.0), name="bodies.zarr")


def covered_by(atlas, mask, ids):
    """Which cells have their centre on one of the ids, by looking up every one."""
    cells = atlas.grid.cells_of(np.arange(atlas.grid.size))
    voxels = np.floor(atlas.grid.centres(cells) / 2).astype(int)
    labels = mask.read(mask.box)[tuple(voxels.T)]
    return np.isin(labels, ids).reshape(atlas.grid.shape)


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


def test_only_shards_that_hold_something_wanted_are_planned(part):
    assert part.shards == (Box((0, 0, 0), (8, 8, 8)), Box((0, 0, 8), (8, 8, 16)))
    assert part.planned == 1024
    assert stored(part).any(axis=-1).sum() == 1024


def test_another_part_is_refused_and_how_to_add_it_is_said(encoder, tissue_volume, part):
    for wanted in ({"box": OVERLAPPING}, {}):
        with pytest.raises(MismatchError, match="embeds another part .* add that part with --ext"):
            lay_out(encoder, tissue_volume, part.path, **wanted)

    assert not (part.path / "regions").exists()
    Atlas.open(part.path).require_complete()


def test_an_added_part_has_only_the_shards_it_touches_computed(encoder, tissue_volume, whole, part):
    before, ids = files(part), part.ids_at(part.positions_nm_xyz(np.arange(200)))
    extended = lay_out(encoder, tissue_volume, part.path, box=OVERLAPPING, extend=True)
    left, seen = remaining(extended), []
    with pytest.raises(IncompleteError, match="has 1 of 3 shards"):
        extended.require_complete()

    failed = embed_shards(extended, progress=lambda shard, _: seen.append(shard))

    touched = [Box((0, 0, 8), (8, 8, 16)), Box((0, 0, 16), (8, 8, 24))]
    after = files(extended)
    assert failed == []
    assert left == seen == touched
    assert after[0, 0, 0] == before[0, 0, 0]
    assert after[0, 0, 1][1] == before[0, 0, 1][1], "its cells were all wanted before"
    np.testing.assert_array_equal(
        extended.ids_at(extended.positions_nm_xyz(np.arange(200))), ids, err_msg="ids stay"
    )
    expected = np.zeros_like(stored(whole))
    expected[:8, :8, :24] = stored(whole)[:8, :8, :24]
    np.testing.assert_array_equal(stored(extended), expected)
    extended.require_complete()
    assert verify(extended, recompute=3) == []


def test_adding_the_same_again_changes_nothing(encoder, tissue_volume, part):
    once = lay_out(encoder, tissue_volume, part.path, box=OVERLAPPING, extend=True)
    embed_shards(once)
    before = files(once)

    for extend in (True, False):
        for box in (OVERLAPPING, BOX):
            again = lay_out(encoder, tissue_volume, part.path, box=box, extend=extend)
            assert remaining(again) == []

    assert len(list((part.path / "regions").iterdir())) == 1
    assert files(again) == before


def test_a_part_within_the_first_is_done_already_up_to_its_marks(encoder, tissue_volume, part):
    before = files(part)
    inner = Box((0, 0, 0), (15, 15, 15))

    embed_shards(lay_out(encoder, tissue_volume, part.path, box=inner, extend=True))

    after = {index: content for index, (_, content) in files(part).items()}
    assert after == {index: content for index, (_, content) in before.items()}


def test_a_mask_is_added_to_a_box(encoder, tissue_volume, part, cell_bodies, whole):
    extended = lay_out(
        encoder, tissue_volume, part.path, mask=cell_bodies, segments=(2,), extend=True
    )
    embed_shards(extended)

    wanted = covered_by(extended, cell_bodies, (2,))
    wanted[:8, :8, :16] = True
    np.testing.assert_array_equal(stored(extended).any(axis=-1), wanted)
    np.testing.assert_allclose(stored(extended)[wanted], stored(whole)[wanted], atol=1e-3)
    assert len(Atlas.open(part.path).regions) == 2
    extended.require_complete()


def test_everything_is_added_by_naming_no_part(encoder, tissue_volume, part, whole):
    extended = lay_out(encoder, tissue_volume, part.path, extend=True)
    embed_shards(extended)

    assert set(extended.shards) == set(whole.shards)
    np.testing.assert_array_equal(stored(extended), stored(whole))
    lay_out(encoder, tissue_volume, part.path, extend=True).require_complete()


def test_an_atlas_of_everything_has_every_part_already(encoder, tissue_volume, whole, cell_bodies):
    for wanted in ({"box": BOX}, {"mask": cell_bodies}, {}):
        for extend in (False, True):
            found = lay_out(encoder, tissue_volume, whole.path, extend=extend, **wanted)
            assert found.regions == ()
            assert remaining(found) == []


def test_a_part_with_other_settings_is_refused_even_as_an_addition(encoder, tissue_volume, part):
    with pytest.raises(MismatchError, match="holds another atlas: its grid"):
        lay_out(encoder, tissue_volume, part.path, box=OVERLAPPING, stride=(4, 4, 4), extend=True)

    assert not (part.path / "regions").exists()


def test_segments_without_a_segmentation_are_refused(encoder, tissue_volume, tmp_path):
    with pytest.raises(ConfigError, match="say which with --segmentation"):
        lay_out(encoder, tissue_volume, tmp_path / "a", segments=(1,))

    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda value: "{", "is damaged: it is not JSON"),
        (lambda value: json.dumps(value | {"box": 7}), "a file in .*regions is damaged"),
        (
            lambda value: json.dumps(value | {"box": {"start": [0, 0, 0], "stop": [0, 1, 1]}}),
            "a file in .*regions is damaged: .*start < stop",
        ),
        (lambda value: "[]", "a file in .*regions is damaged"),
    ],
)
def test_a_damaged_description_of_a_region_is_refused(encoder, tissue_volume, part, damage, words):
    lay_out(encoder, tissue_volume, part.path, box=OVERLAPPING, extend=True)
    (file,) = (part.path / "regions").iterdir()
    file.write_text(damage(json.loads(file.read_text())))

    for use in (remaining, embed_shards, verify, Atlas.require_complete):
        with pytest.raises(DataError, match=words):
            use(Atlas.open(part.path))


def test_a_run_that_began_before_a_part_was_added_does_not_undo_it(
    encoder, tissue_volume, part, whole
):
    shard = Box((0, 0, 8), (8, 8, 16))
    narrow = lay_out(encoder, tissue_volume, part.path.with_name("b"), box=Box.of_shape((21,) * 3))
    embed_shards(narrow)
    early = Job.open(lay_out(encoder, tissue_volume, narrow.path, box=BOX, extend=True))
    attempt = early.attempt(shard)
    later = lay_out(encoder, tissue_volume, narrow.path, box=OVERLAPPING, extend=True)
    embed_shards(later)
    done = later.ledger.mark((0, 0, 1))

    found = early.write(shard, attempt)

    assert (found.state, found.reason) == (
        "failed",
        "a region was added to the atlas meanwhile; run again",
    )
    assert later.ledger.marks()[0, 0, 1] == done
    assert verify(later, recompute=3) == []
    np.testing.assert_array_equal(stored(later)[:8, :8, :24], stored(whole)[:8, :8, :24])


def test_a_run_that_began_before_a_part_was_added_goes_on_elsewhere(encoder, tissue_volume, part):
    part.ledger.forget((0, 0, 0))
    early = Atlas.open(part.path)
    assert remaining(early) == [Box((0, 0, 0), (8, 8, 8))]
    later = lay_out(encoder, tissue_volume, part.path, box=OVERLAPPING, extend=True)

    failed = embed_shards(early)

    assert failed == []
    assert remaining(later) == [Box((0, 0, 8), (8, 8, 16)), Box((0, 0, 16), (8, 8, 24))]
