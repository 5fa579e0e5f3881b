"""Tests of atlases of a part of a volume, to which others are added."""

import json

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.errors import DataError, IncompleteError, MismatchError
from embed.geometry import Box
from embed.inference import embed_shards, remaining
from embed.job import Job
from tests.embed.parts import BOX, OVERLAPPING, covered_by, stored, write_bodies
from tests.embed.small_shards import lay_out


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
def cell_bodies(write_volume):
    return write_bodies(write_volume)


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
