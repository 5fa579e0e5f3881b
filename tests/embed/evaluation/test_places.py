"""Places: where a field of view is, and what the volume shows there."""

import numpy as np
import pytest

from embed.evaluation.places import Places, cut
from embed.geometry import Box, Grid


@pytest.mark.parametrize("fov", [(3, 5, 5), (4, 6, 6)])
def test_a_field_of_view_around_a_voxel_has_it_in_the_middle(fov):
    voxels = np.array([[10, 20, 30], [11, 9, 8]])

    places = Places.around(voxels, fov)

    np.testing.assert_array_equal(places.voxels, voxels)
    off_centre = places.centres - voxels
    assert ((off_centre >= 0) & (off_centre <= 0.5)).all()


def test_places_on_grids_are_the_centres_of_the_grids_one_after_another():
    grids = [Grid.covering(Box((0, y, 0), (9, y + 20, 20)), (9, 9, 9), (4, 4, 4)) for y in (0, 30)]

    places = Places.on(*grids)

    expected = np.concatenate([g.centres(g.cells_of(np.arange(g.size))) for g in grids])
    np.testing.assert_array_equal(places.centres, expected)


def test_only_fields_of_view_wholly_inside_a_box_are_inside():
    places = Places(np.array([[0, 0, 0], [1, 1, 1], [2, 2, 2]]), (3, 3, 3))

    inside = places.inside(Box((0, 0, 1), (4, 5, 5)))

    np.testing.assert_array_equal(inside, [False, True, False])


def test_cut_gives_the_voxels_of_every_field_of_view_in_order():
    grey = np.random.default_rng(0).integers(0, 255, (12, 12, 12), dtype=np.uint8)
    starts = np.random.default_rng(1).integers(0, 9, (1100, 3))

    batches = list(cut(grey, Places(starts, (3, 3, 3))))

    expected = [grey[z : z + 3, y : y + 3, x : x + 3].ravel() for z, y, x in starts]
    assert len(batches) > 1
    np.testing.assert_array_equal(np.concatenate(batches), expected)
