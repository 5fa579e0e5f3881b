"""Nodes, contacts and masks of segmented bodies."""

import numpy as np
from scipy import ndimage

from embed.evaluation.bodies import depth, mask_shape, mask_volume, masks_of, nodes, touching
from embed.evaluation.places import Places


def slabs(*widths):
    """Bodies 1, 2, … side by side along x."""
    ids = np.repeat(np.arange(1, len(widths) + 1), widths)
    return np.broadcast_to(ids, (40, 40, len(ids))).copy()


def test_depth_is_the_distance_to_the_nearest_border_and_the_edge_of_the_volume_is_none():
    found = depth(slabs(6, 8))

    np.testing.assert_array_equal(found[0, 0], [5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7])


def test_background_has_no_depth():
    bodies = np.zeros((9, 9, 9), np.int64)
    bodies[2:7, 2:7, 2:7] = 1

    found = depth(bodies)

    assert found[0, 0, 0] == 0
    assert found[4, 4, 4] == 2


def test_nodes_are_the_middles_of_large_bodies():
    bodies = np.zeros((60, 60, 90), np.int64)
    ball = np.linalg.norm(np.indices((40, 40, 40)) - 19.5, axis=0) < 18
    bodies[10:50, 10:50, 2:42][ball] = 1  # 24,000 voxels
    bodies[25:35, 25:35, 70:80] = 2  # too small

    found = nodes(bodies)

    assert len(found) == 1
    np.testing.assert_allclose(found[0], (29.5, 29.5, 21.5), atol=1)


def test_there_are_no_nodes_where_no_body_is_large():
    assert nodes(slabs(5, 5)).shape == (0, 3)


def test_bodies_touch_where_they_share_a_face():
    bodies = np.array([[[0, 1, 1, 3], [0, 2, 0, 0]]])

    found = touching(bodies)

    pairs = {(a, b) for a, b in np.argwhere(found).tolist() if a < b}
    assert pairs == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)}
    np.testing.assert_array_equal(found, found.T)


def test_a_mask_is_the_body_in_the_middle_of_the_field_of_view():
    bodies = slabs(6, 8)

    (mask,) = masks_of(bodies, Places.around(np.array([[10, 10, 4]]), (5, 5, 5)))

    np.testing.assert_array_equal(mask[0, 0], [True, True, True, True, False])
    np.testing.assert_allclose(mask_volume([mask]), np.log([[100]]), rtol=1e-6)


def test_shape_tells_a_rod_from_a_sheet_and_not_one_rod_from_the_same_turned():
    rod, sheet = np.zeros((21, 21, 21), bool), np.zeros((21, 21, 21), bool)
    rod[9:12, 9:12] = True
    sheet[10] = True

    along, across, flat = mask_shape([rod, rod.transpose(2, 1, 0), sheet])

    np.testing.assert_allclose(along, across, rtol=1e-4)
    assert along[4] < 0.1 < 0.9 < flat[4]  # second axis over the first


def test_a_single_voxel_has_a_shape():
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True

    found = mask_shape([ndimage.binary_dilation(mask), mask, mask])[0]

    assert np.isfinite(found).all()
