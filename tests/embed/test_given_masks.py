"""Tests of embed/given_layout.py: fields of view that are masked to the segment of their place."""

import dataclasses

import numpy as np
import pytest

from embed.audit import verify
from embed.backends.choice import open_backend
from embed.dense import embed_at
from embed.errors import MismatchError
from embed.given_layout import create_given_atlas
from embed.inference import embed_shards
from tests.embed.given_places import COUNT, everything, places_in


@pytest.fixture(scope="module")
def points(encoder, tissue_volume):
    return places_in(encoder, tissue_volume)


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
