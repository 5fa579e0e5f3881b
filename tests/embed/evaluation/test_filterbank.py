"""The filter bank against closed forms, plain numpy and the nm it is told."""

import numpy as np
import pytest

from embed.evaluation.filterbank import (
    at_voxels,
    masked,
    pooled,
    responses,
    sampled,
    sigmas_in_voxels,
)

ISOTROPIC = (10.0, 10.0, 10.0)
NAMES = ("gaussian", "gradient", "laplacian", "hessian", "structure")


def bank(grey, voxel_size_nm=ISOTROPIC, sigma_nm=15.0, planar=False):
    dims = 2 if planar else 3
    found = list(responses(grey, voxel_size_nm, (sigma_nm,), planar=planar))
    cuts = np.cumsum([1, 1, 1, dims])
    return dict(zip(NAMES, np.split(np.stack(found), cuts), strict=True))


def quadratic(matrix, shape=(40, 40, 40), scale=(1.0, 1.0, 1.0)):
    """v(p) = p·matrix·p / 2 about the middle, p in units of `scale` per voxel."""
    p = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    p = (p - np.asarray(shape) // 2) * np.asarray(scale)
    return np.einsum("zyxi,ij,zyxj->zyx", p, matrix, p) / 2


SYMMETRIC = np.array([[3.0, 0.5, -0.2], [0.5, 1.0, 0.4], [-0.2, 0.4, -2.0]])


def test_the_hessian_of_a_quadratic_has_the_eigenvalues_of_its_matrix_times_the_squared_scale():
    found = bank(quadratic(SYMMETRIC))

    middle = (20, 20, 20)
    expected = 1.5**2 * np.linalg.eigvalsh(SYMMETRIC)[::-1]
    np.testing.assert_allclose([h[middle] for h in found["hessian"]], expected, rtol=1e-3)
    np.testing.assert_allclose(found["laplacian"][0][middle], expected.sum(), rtol=1e-3)


def test_the_same_tissue_gives_the_same_response_whatever_the_voxel_size():
    fine = bank(quadratic(SYMMETRIC, scale=(10, 10, 10)), sigma_nm=30.0)
    flat = quadratic(SYMMETRIC, shape=(20, 40, 40), scale=(20, 10, 10))
    coarse = bank(flat, voxel_size_nm=(20.0, 10.0, 10.0), sigma_nm=30.0)

    for one, other in zip(fine["hessian"], coarse["hessian"], strict=True):
        np.testing.assert_allclose(one[20, 20, 20], other[10, 20, 20], rtol=1e-3)


def test_the_gradient_of_a_ramp_is_its_slope_per_scale_and_its_tensor_has_rank_one():
    ramp = np.broadcast_to(np.arange(40.0) * 2, (40, 40, 40))

    found = bank(ramp)

    middle = (20, 20, 20)
    np.testing.assert_allclose(found["gradient"][0][middle], 2 * 1.5, rtol=1e-4)
    values = [s[middle] for s in found["structure"]]
    np.testing.assert_allclose(values, [(2 * 1.5) ** 2, 0, 0], atol=1e-2)


def test_eigenvalues_agree_with_numpy_on_noise():
    from scipy import ndimage

    grey = np.random.default_rng(0).normal(100, 30, (20, 24, 22)).astype(np.float32)

    found = bank(grey, sigma_nm=10.0)

    smooth = ndimage.gaussian_filter(grey, 1.0)
    slopes = [ndimage.correlate1d(smooth, (-0.5, 0, 0.5), a, mode="nearest") for a in range(3)]
    tensor = np.stack(
        [np.stack([ndimage.gaussian_filter(a * b, 2.0) for b in slopes], -1) for a in slopes], -1
    )
    expected = np.moveaxis(np.linalg.eigvalsh(tensor.astype(np.float64))[..., ::-1], -1, 0)
    np.testing.assert_allclose(found["structure"], expected, rtol=2e-3, atol=2e-3 * expected.max())


def test_planar_responses_do_not_see_neighbouring_sections():
    rng = np.random.default_rng(0)
    grey = rng.normal(size=(5, 30, 30)).astype(np.float32)
    other = grey.copy()
    other[[0, 1, 3, 4]] = rng.normal(size=(4, 30, 30))

    one, two = (list(responses(v, (45.0, 5.0, 5.0), (10.0,), planar=True)) for v in (grey, other))

    assert len(one) == 7
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a[2], b[2])


def test_a_constant_volume_gives_zero_for_every_derivative():
    found = bank(np.full((20, 20, 20), 130, np.uint8))

    derivatives = np.concatenate([found[name] for name in NAMES[1:]])
    np.testing.assert_allclose(derivatives, 0, atol=1e-3)


def test_scales_are_nm_and_an_axis_left_out_is_not_smoothed():
    assert sigmas_in_voxels(9.0, (45.0, 4.5, 9.0), (0, 1, 2)) == (0.2, 2.0, 1.0)
    assert sigmas_in_voxels(9.0, (45.0, 4.5, 9.0), (1, 2)) == (0.0, 2.0, 1.0)


@pytest.mark.parametrize("fov", [(3, 5, 7), (4, 6, 2)])
@pytest.mark.parametrize("count", [2, 400])
def test_pooling_is_the_mean_of_the_field_of_view(fov, count):
    rng = np.random.default_rng(0)
    grey = rng.normal(size=(16, 18, 20)).astype(np.float32)
    starts = rng.integers(0, np.asarray(grey.shape) - fov, (count, 3))

    (found,) = sampled(iter([grey]), pooled(starts, fov))

    windows = [tuple(slice(a, a + n) for a, n in zip(s, fov, strict=True)) for s in starts]
    np.testing.assert_allclose(found[:, 0], [grey[w].mean() for w in windows], atol=1e-5)


def test_masked_columns_are_mean_and_deviation_of_what_the_mask_keeps():
    rng = np.random.default_rng(0)
    grey = rng.normal(size=(10, 10, 10)).astype(np.float32)
    mask = rng.random((4, 4, 4)) < 0.5

    (found,) = sampled(iter([grey, 2 * grey]), masked(np.array([[3, 2, 1]]), [mask]))

    kept = grey[3:7, 2:6, 1:5][mask]
    expected = [kept.mean(), kept.std(), 2 * kept.mean(), 2 * kept.std()]
    np.testing.assert_allclose(found[0], expected, rtol=1e-5)


def test_neighbouring_sections_stand_side_by_side():
    grey = np.arange(5 * 4 * 4, dtype=np.float32).reshape(5, 4, 4)

    (found,) = sampled(iter([grey]), at_voxels(np.array([[2, 1, 3]]), sections=(-1, 0, 1)))

    np.testing.assert_array_equal(found, [[grey[1, 1, 3], grey[2, 1, 3], grey[3, 1, 3]]])
