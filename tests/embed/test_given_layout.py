"""Tests of embed/given_layout.py: an embedding at every given place."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.dense import embed_at
from embed.errors import DataError, MismatchError, OutOfBoundsError
from embed.geometry import Frame
from embed.given_layout import create_given_atlas
from embed.inference import embed_shards, remaining
from embed.layout import Wanted
from embed.points import Points
from tests.embed.given_places import COUNT, SMALL, everything, places_in

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def points(encoder, tissue_volume):
    return places_in(encoder, tissue_volume)


@pytest.fixture(scope="module")
def finished(encoder, tissue_volume, points, tmp_path_factory):
    """The atlas of the places; not to be changed."""
    path = tmp_path_factory.mktemp("given") / "finished"
    atlas = create_given_atlas(encoder, tissue_volume, path, points, SMALL, run="runs/1")
    assert embed_shards(atlas) == []
    return atlas


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


def test_another_atlas_in_its_place_is_refused(encoder, tissue_volume, points, finished, tmp_path):
    fewer = points.take(np.arange(9))
    (tmp_path / "file").touch()

    with pytest.raises(MismatchError, match="holds another atlas: its grid is"):
        create_given_atlas(encoder, tissue_volume, finished.path, fewer, run="r")
    with pytest.raises(DataError, match="exists and is not an atlas"):
        create_given_atlas(encoder, tissue_volume, tmp_path / "file", points, run="r")
    assert finished.places.digest() == points.digest()


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
