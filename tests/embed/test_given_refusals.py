"""Tests of embed/given_layout.py: places that do not suit, and files that are damaged or gone."""

import dataclasses

import numpy as np
import pytest

from embed.atlas import POINTS, Atlas
from embed.errors import DataError, MismatchError, NotFoundError, OutOfBoundsError
from embed.given_layout import create_given_atlas
from embed.inference import embed_shards, remaining
from tests.embed.given_places import COUNT, SMALL, places_in


@pytest.fixture(scope="module")
def points(encoder, tissue_volume):
    return places_in(encoder, tissue_volume)


@pytest.fixture
def laid_out(encoder, tissue_volume, points, tmp_path):
    return create_given_atlas(encoder, tissue_volume, tmp_path / "a", points, SMALL, run="r")


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


def test_a_run_that_was_killed_before_the_description_is_written_goes_on(
    encoder, tissue_volume, points, tmp_path
):
    few = points.take(np.arange(5))
    few.save(tmp_path / "a" / POINTS)
    (tmp_path / "a" / ".half-written").touch()

    atlas = create_given_atlas(encoder, tissue_volume, tmp_path / "a", points, run="r")

    assert atlas.places.digest() == points.digest()


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
