"""Tests of embed/given_layout.py: an embedding at every given place, whatever happens."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import POINTS, Atlas
from embed.audit import verify
from embed.backends.choice import open_backend
from embed.dense import embed_at
from embed.errors import DataError, MismatchError, NotFoundError, OutOfBoundsError
from embed.geometry import Frame
from embed.given_layout import create_given_atlas
from embed.inference import embed_shards, remaining
from embed.layout import Wanted
from embed.points import Points

ROOT = Path(__file__).parents[2]
SMALL = Wanted(shard=(1, 1, 64))
COUNT = 150
"""Places, in three shards of 64."""


@pytest.fixture(scope="module")
def points(encoder, tissue_volume):
    """Places anywhere in the tissue, with ids of segments that no float64 holds."""
    rng = np.random.default_rng(0)
    low, high = np.array(encoder.fov) / 2, np.array(tissue_volume.box.shape) - 3.5
    return Points.at(
        rng.uniform(low, high, (COUNT, 3)),
        fov=encoder.fov,
        voxel_size_nm=tissue_volume.frame.voxel_size_nm,
        segments=np.arange(COUNT, dtype=np.uint64) + np.uint64(2**63 + 1),
    )


@pytest.fixture(scope="module")
def segmentation_voxels(tissue):
    """Slabs of three segments, and none where x is below 8."""
    z, y, x = np.indices(tissue.shape)
    return np.where(x < 8, 0, 1 + (x + y // 2 + z // 3) // 9 % 3 * 2**40).astype(np.uint64)


@pytest.fixture
def segmentation(segmentation_voxels, write_volume):
    return write_volume(segmentation_voxels, name="segments.zarr")


@pytest.fixture(scope="module")
def masked(encoder):
    return dataclasses.replace(encoder, masked=True)


@pytest.fixture(scope="module")
def finished(encoder, tissue_volume, points, tmp_path_factory):
    """The atlas of the places; not to be changed."""
    path = tmp_path_factory.mktemp("given") / "finished"
    atlas = create_given_atlas(encoder, tissue_volume, path, points, SMALL, run="runs/1")
    assert embed_shards(atlas) == []
    return atlas


def everything(atlas):
    return atlas.embeddings(np.arange(atlas.grid.size))


def test_an_atlas_holds_the_embedding_of_every_place(finished, tissue_volume, points, backend):
    expected = embed_at(backend, tissue_volume, points.positions)

    np.testing.assert_allclose(everything(finished), expected, atol=6e-4)
    assert finished.places.digest() == points.digest() == finished.info.points
    assert [box.size for box in finished.shards] == [64, 64, COUNT - 128]
    assert finished.planned == COUNT
    finished.require_complete()
    assert verify(finished, recompute=3) == []


def test_a_place_is_found_again_with_what_names_it(finished, points):
    ids = np.array([0, 64, COUNT - 1])

    places = finished.positions_nm_xyz(ids)

    np.testing.assert_allclose(places, points.positions[ids][:, ::-1] * 10)
    assert finished.ids_at(places).tolist() == ids.tolist()
    assert finished.known_of(ids) == [
        (int(points.segments[i]), int(points.sources[i])) for i in ids
    ]


def test_the_order_in_which_places_are_given_makes_no_difference(
    encoder, tissue_volume, points, finished, tmp_path
):
    mixed = np.random.default_rng(1).permutation(COUNT)
    turned = Points.at(
        points.positions[mixed],
        fov=encoder.fov,
        voxel_size_nm=points.voxel_size_nm,
        sources=points.sources[mixed],
    )

    atlas = create_given_atlas(encoder, tissue_volume, tmp_path / "a", turned, run="r")
    embed_shards(atlas)

    there = {source: i for i, source in enumerate(points.sources.tolist())}
    rows = [there[source] for source in atlas.places.sources.tolist()]
    np.testing.assert_allclose(everything(atlas), everything(finished)[rows], atol=1e-3)


def test_fields_of_view_masked_to_a_segment_are_those_of_training(
    masked, tissue, write_volume, points, segmentation, segmentation_voxels, tmp_path
):
    voxels = tissue.copy()
    voxels[::3, ::2, ::2] = 0  # black within a segment is not what is around it
    volume = write_volume(voxels)
    atlas = create_given_atlas(
        masked, volume, tmp_path / "a", points, run="r", segmentation=segmentation
    )

    failed = embed_shards(atlas)

    middle = points.starts(points.cells_of(np.arange(COUNT))) + np.array(masked.fov) // 2
    inside = segmentation_voxels[tuple(middle.T)] != 0
    expected = embed_at(open_backend(masked), volume, points.positions[inside], segmentation)
    stored = everything(atlas)
    assert failed == []
    assert 0.5 < inside.mean() < 1
    np.testing.assert_allclose(stored[inside], expected, atol=6e-4)
    assert not stored[~inside].any()
    unmasked = open_backend(dataclasses.replace(masked, masked=False))
    whole = embed_at(unmasked, volume, points.positions)
    assert np.abs(whole - stored).max() > 0.1
    assert verify(atlas, recompute=1) == []


def test_places_where_most_is_missing_have_no_embedding(
    encoder, tissue, write_volume, points, tmp_path, backend
):
    voxels = tissue.copy()
    voxels[:, :, 30:] = 0
    volume = write_volume(voxels)
    atlas = create_given_atlas(encoder, volume, tmp_path / "a", points, SMALL, run="r")

    failed = embed_shards(atlas)

    boxes = [points.box(i) for i in range(COUNT)]
    void = np.array([(voxels[box.slices] == 0).mean() >= 0.5 for box in boxes])
    marks = atlas.finished()
    assert failed == []
    assert 0.2 < void.mean() < 0.8
    np.testing.assert_array_equal(everything(atlas).any(axis=1), ~void)
    expected = embed_at(backend, volume, points.positions[~void])
    np.testing.assert_allclose(everything(atlas)[~void], expected, atol=6e-4)
    assert [mark.voids for mark in marks.values()] == [void[box.slices[2]].sum() for box in marks]


def test_a_shard_of_voids_alone_is_not_written(encoder, tissue, write_volume, points, tmp_path):
    voxels = tissue.copy()
    first = points.voxels(dataclasses.replace(points.cells, stop=(1, 1, 64)))
    voxels[first.slices] = 0
    voxels[0, 0, 0] = 200  # or it would be all missing
    atlas = create_given_atlas(
        encoder, write_volume(voxels), tmp_path / "a", points.take(np.arange(64)), SMALL, run="r"
    )

    embed_shards(atlas)

    assert [mark.state for mark in atlas.ledger.marks().values()] == ["void"]
    atlas.require_complete()


def test_codes_stand_for_the_same_embeddings(encoder, tissue_volume, points, finished, tmp_path):
    wanted = Wanted(shard=(1, 1, 64), store="int8")
    atlas = create_given_atlas(encoder, tissue_volume, tmp_path / "a", points, wanted, run="r")

    embed_shards(atlas)

    assert atlas.store.dtype == np.int8
    np.testing.assert_allclose(everything(atlas), everything(finished), atol=0.02)
    again = create_given_atlas(encoder, tissue_volume, tmp_path / "a", points, wanted, run="r")
    assert remaining(again) == []


# Tells of every shard; after the first it waits to be killed.
CHILD = """
import sys, time
from pathlib import Path
from embed.atlas import Atlas
from embed.inference import embed_shards

def progress(box, mark):
    print(mark.state, flush=True)
    time.sleep(600)

if __name__ == "__main__":
    embed_shards(Atlas.open(Path(sys.argv[1])), progress=progress)
"""


def test_a_killed_process_goes_on_with_the_rest(encoder, tissue_volume, points, finished, tmp_path):
    atlas = create_given_atlas(encoder, tissue_volume, tmp_path / "a", points, SMALL, run="r")
    (tmp_path / "child.py").write_text(CHILD)
    command = [sys.executable, tmp_path / "child.py", atlas.path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        said = child.stdout.readline().strip()
        child.kill()
    again = create_given_atlas(encoder, tissue_volume, tmp_path / "a", points, run="r")
    left = remaining(again)
    seen = []

    embed_shards(again, progress=lambda box, _: seen.append(box))

    assert said == "done"
    assert list(again.shards) != left == seen
    assert again.ledger.marks() == finished.ledger.marks()


def test_a_run_that_was_killed_before_the_description_is_written_goes_on(
    encoder, tissue_volume, points, tmp_path
):
    few = points.take(np.arange(5))
    few.save(tmp_path / "a" / POINTS)
    (tmp_path / "a" / ".half-written").touch()

    atlas = create_given_atlas(encoder, tissue_volume, tmp_path / "a", points, run="r")

    assert atlas.places.digest() == points.digest()


def near_the_edge(points):
    return dataclasses.replace(points, positions=points.positions - [0, 0, 6])


def of_another_fov(points):
    return dataclasses.replace(points, fov=(9, 9, 9))


def of_another_size(points):
    return dataclasses.replace(points, voxel_size_nm=(40.0, 10.0, 10.0))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (near_the_edge, OutOfBoundsError, r"of 150 points are too near .* and the volume is Box\("),
        (of_another_fov, MismatchError, r"for fields of view of \(9, 9, 9\) voxels"),
        (of_another_size, MismatchError, r"\(40.0, 10.0, 10.0\) nm, and this encoder sees"),
    ],
)
def test_places_that_do_not_suit_are_refused_and_nothing_is_written(
    encoder, tissue_volume, points, tmp_path, change, kind, words
):
    with pytest.raises(kind, match=words):
        create_given_atlas(encoder, tissue_volume, tmp_path / "a", change(points), run="r")

    assert not (tmp_path / "a").exists()


def test_masks_go_with_encoders_that_were_trained_so_and_with_no_others(
    encoder, masked, tissue_volume, points, segmentation, tmp_path
):
    path = tmp_path / "a"
    with pytest.raises(MismatchError, match="needs a segmentation of tissue, given with --segm"):
        create_given_atlas(masked, tissue_volume, path, points, run="r")
    with pytest.raises(MismatchError, match="leave out the segmentation"):
        create_given_atlas(encoder, tissue_volume, path, points, run="r", segmentation=segmentation)

    assert not path.exists()


@pytest.mark.parametrize("shape", ["smaller", "coarser", "floats"])
def test_a_segmentation_lies_on_the_volume_voxel_by_voxel(
    masked, tissue_volume, points, segmentation_voxels, write_volume, tmp_path, shape
):
    other = {
        "smaller": (segmentation_voxels[:-1], (10.0, 10.0, 10.0)),
        "coarser": (segmentation_voxels, (10.0, 20.0, 10.0)),
        "floats": (segmentation_voxels.astype(np.float32), (10.0, 10.0, 10.0)),
    }
    segmentation = write_volume(*other[shape])

    with pytest.raises(MismatchError, match="masked voxel by voxel|holds integers"):
        create_given_atlas(
            masked, tissue_volume, tmp_path / "a", points, run="r", segmentation=segmentation
        )


def test_another_atlas_in_its_place_is_refused(encoder, tissue_volume, points, finished, tmp_path):
    fewer = points.take(np.arange(9))
    (tmp_path / "file").touch()

    with pytest.raises(MismatchError, match="holds another atlas: its grid is"):
        create_given_atlas(encoder, tissue_volume, finished.path, fewer, run="r")
    with pytest.raises(DataError, match="exists and is not an atlas"):
        create_given_atlas(encoder, tissue_volume, tmp_path / "file", points, run="r")
    assert finished.places.digest() == points.digest()


@pytest.fixture
def laid_out(encoder, tissue_volume, points, tmp_path):
    return create_given_atlas(encoder, tissue_volume, tmp_path / "a", points, SMALL, run="r")


def damage(path, points):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def exchange(path, points):
    points.take(np.arange(COUNT)[::-1]).save(path)


@pytest.mark.parametrize(
    ("harm", "words"), [(damage, "is damaged"), (exchange, "is another than 'a' was made from")]
)
def test_a_damaged_or_foreign_file_of_places_is_refused_before_anything_is_computed(
    laid_out, points, harm, words
):
    harm(laid_out.path / POINTS, points)
    again = Atlas.open(laid_out.path)

    with pytest.raises(DataError, match=words):
        embed_shards(again)

    assert again.ledger.marks() == {}


def test_a_file_of_places_that_is_gone_is_written_again_by_laying_out(
    laid_out, encoder, tissue_volume, points
):
    (laid_out.path / POINTS).unlink()

    with pytest.raises(NotFoundError, match="no points at"):
        embed_shards(Atlas.open(laid_out.path))
    again = create_given_atlas(encoder, tissue_volume, laid_out.path, points, SMALL, run="r")

    assert again.places.digest() == points.digest()


def test_a_chunk_that_cannot_be_read_fails_its_shards_alone(
    encoder, tissue, write_volume, points, tmp_path
):
    atlas = create_given_atlas(
        encoder, write_volume(tissue), tmp_path / "a", points, SMALL, run="r"
    )
    chunk = tmp_path / "volume.zarr" / "c" / "2" / "2" / "3"
    chunk.write_bytes(chunk.read_bytes()[:10])

    failed = embed_shards(atlas)

    assert 0 < len(failed) < 3
    assert all("of 'volume'" in mark.reason for _, mark in failed)
    assert remaining(atlas) == [box for box, _ in failed]


def test_places_of_a_volume_that_starts_elsewhere_in_nm_have_positions_there(finished):
    moved = dataclasses.replace(
        finished.info, frame=Frame(finished.frame.voxel_size_nm, (100.0, 0.0, -50.0))
    )
    atlas = Atlas(finished.path, moved, finished.store)

    offset = atlas.positions_nm_xyz(np.array([7])) - finished.positions_nm_xyz(np.array([7]))

    np.testing.assert_allclose(offset, [[-50, 0, 100]])
    np.testing.assert_allclose(atlas.offsets_nm(np.array([7])), finished.offsets_nm(np.array([7])))


def test_a_position_near_no_place_is_refused_in_nm(finished):
    with pytest.raises(
        OutOfBoundsError,
        match=r"atlas 'finished' has no location within 35 nm .* xyz = \(9000, 0, 0\) nm; the near",
    ):
        finished.ids_at(np.array([[200.0, 200.0, 9000.0], [9000.0, 0.0, 0.0]])[1:])
