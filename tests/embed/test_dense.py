"""Tests of embed/dense.py: one network, however the voxels are cut."""

import dataclasses

import numpy as np
import pytest

from embed.backends.choice import open_backend
from embed.checkpoint import random_encoder
from embed.dense import MEMORY, block_shape, embed_at, embed_cutout, embed_grid, is_coarse
from embed.encoder import EncoderConfig, Stage
from embed.errors import ConfigError, DataError, MismatchError, OutOfBoundsError
from embed.geometry import Box, Grid
from embed.normaliser import Normaliser, measure
from embed.segments import of_centre
from embed.suitability import require_stride, require_voxel_size


@pytest.fixture(scope="module")
def dense(encoder, tissue_volume, backend):
    """The grid of the whole volume, 17 x 21 x 25, and its embeddings."""
    return embed_grid(backend, tissue_volume)


def test_a_volume_in_blocks_equals_the_volume_at_once(tissue_volume, dense, backend):
    grid, found = dense

    whole = embed_cutout(backend, tissue_volume.read(tissue_volume.box), measure(tissue_volume))

    assert grid == Grid((0, 0, 0), (7, 7, 7), (2, 2, 2), (17, 21, 25))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)
    assert found.reshape(-1, 8).std(axis=0).max() > 0.05, "places differ"


def test_single_places_equal_the_dense_run(tissue_volume, dense, backend):
    grid, found = dense
    cells = np.random.default_rng(0).integers(0, grid.shape, size=(150, 3))

    alone = embed_at(backend, tissue_volume, grid.centres(cells))

    np.testing.assert_allclose(alone, found[tuple(cells.T)], atol=1e-5)


def test_a_place_is_rounded_to_the_nearest_field_of_view(tissue_volume, backend):
    centre = np.array([20.5, 20.5, 20.5])

    exact, near, other = embed_at(
        backend, tissue_volume, np.stack([centre, centre + 0.4, centre + 0.6])
    )

    np.testing.assert_array_equal(exact, near)
    assert not np.allclose(exact, other, atol=1e-4)


def test_a_place_whose_field_of_view_leaves_the_volume_is_refused(tissue_volume, backend):
    with pytest.raises(OutOfBoundsError, match="leaves 'tissue', whose voxels"):
        embed_at(backend, tissue_volume, np.array([[20.0, 20.0, 20.0], [20.0, 20.0, 2.9]]))


def test_a_box_is_embedded_as_a_part_of_the_whole(tissue_volume, dense, backend):
    grid, found = embed_grid(backend, tissue_volume, Box((4, 8, 2), (20, 20, 20)))

    assert (grid.start, grid.shape) == ((4, 8, 2), (5, 3, 6))
    np.testing.assert_allclose(found, dense[1][2:7, 4:7, 1:7], atol=1e-5)


@pytest.mark.parametrize("stride", [(4, 2, 6), (40, 10, 2)])
def test_a_coarser_stride_gives_every_so_many_of_the_locations(
    tissue_volume, dense, stride, backend
):
    grid, found = embed_grid(backend, tissue_volume, stride=stride)

    z, y, x = (s // 2 for s in stride)
    assert grid.stride == stride
    np.testing.assert_allclose(found, dense[1][::z, ::y, ::x], atol=1e-5)


@pytest.mark.parametrize("stride", [(1, 2, 2), (1, 1, 1), (4, 1, 2)])
def test_a_finer_stride_fills_in_the_places_between(tissue_volume, dense, stride, backend):
    box = Box((0, 0, 0), (23, 22, 25))

    grid, found = embed_grid(backend, tissue_volume, box, stride)

    assert grid.shape == tuple((n - 7) // s + 1 for n, s in zip(box.shape, stride, strict=True))
    alone = embed_at(backend, tissue_volume, grid.centres(grid.cells_of(np.arange(grid.size))))
    np.testing.assert_allclose(found.reshape(-1, 8), alone, atol=1e-5)


@pytest.mark.parametrize("stride", [(2, 2, 3), (0, 2, 2), (-2, 2, 2)])
def test_a_stride_that_goes_neither_way_is_refused(encoder, tissue_volume, stride, backend):
    words = r"a multiple of the encoder's, \(2, 2, 2\) voxels \(ZYX\), or divides it"
    with pytest.raises(ConfigError, match=words):
        embed_grid(backend, tissue_volume, stride=stride)
    with pytest.raises(ConfigError, match=words):
        require_stride(encoder, stride)


@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 1, 2), (4, 6, 32), (64, 200, 30)])
def test_a_block_sees_about_as_many_voxels_whatever_the_stride(encoder, stride):
    block = block_shape(encoder, stride)

    assert all(1 <= n <= 32 for n in block)
    steps = [(n - 1) * s // 2 + 1 for n, s in zip(block, stride, strict=True)]
    assert max(steps) <= 32


def test_a_block_is_smaller_where_memory_is(encoder):
    edges = [block_shape(encoder, (2, 2, 2), memory)[0] for memory in (MEMORY, 2**21, 2**18, 1)]

    assert edges[0] == 32
    assert edges == sorted(edges, reverse=True)
    assert edges[-1] == 4 < edges[1] < 32


def test_a_cut_out_is_normalised_first(backend):
    grey = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)

    bright = embed_cutout(backend, grey * 20 + 100, Normaliser(100.0, 20.0))

    assert bright.shape == (2, 2, 2, 8)
    np.testing.assert_allclose(bright, embed_cutout(backend, grey, Normaliser(0.0, 1.0)), atol=1e-5)


def test_a_cut_out_smaller_than_the_field_of_view_is_refused(backend):
    with pytest.raises(OutOfBoundsError, match=r"of \(7, 6, 7\) voxels .* at least \(7, 7, 7\)"):
        embed_cutout(backend, np.ones((7, 6, 7), np.uint8), Normaliser(0.0, 1.0))


def test_a_cut_out_with_nan_is_refused(backend):
    cutout = np.full((7, 7, 7), np.nan, np.float32)

    with pytest.raises(DataError, match="343 values are NaN or infinite"):
        embed_cutout(backend, cutout, Normaliser(0.0, 1.0))


def test_a_box_smaller_than_the_field_of_view_or_outside_is_refused(tissue_volume, backend):
    with pytest.raises(OutOfBoundsError, match="smaller than the field of view"):
        embed_grid(backend, tissue_volume, Box.of_shape((6, 20, 20)))
    with pytest.raises(OutOfBoundsError, match="leaves 'tissue'"):
        embed_grid(backend, tissue_volume, Box.of_shape((41, 20, 20)))


def with_voxels(volume, size):
    return dataclasses.replace(volume, frame=dataclasses.replace(volume.frame, voxel_size_nm=size))


@pytest.mark.parametrize("size", [(10.0, 10.0, 10.0), (11.4, 8.8, 10.0)])
def test_a_voxel_size_within_15_percent_will_do(encoder, tissue_volume, size):
    require_voxel_size(encoder, with_voxels(tissue_volume, size))


@pytest.mark.parametrize("size", [(11.6, 10.0, 10.0), (10.0, 10.0, 8.6), (40.0, 4.0, 4.0)])
def test_another_voxel_size_is_refused_with_what_would_work(encoder, tissue_volume, size):
    z, y, x = (f"{v:g}" for v in size)

    with pytest.raises(MismatchError) as error:
        require_voxel_size(encoder, with_voxels(tissue_volume, size))

    assert f"tissue has voxels of {x} x {y} x {z} nm (XYZ)" in str(error.value)
    assert "made for 10 x 10 x 10 nm" in str(error.value)
    assert "--any-voxel-size" in str(error.value)


def test_an_anisotropic_encoder_steps_as_its_config_says(write_volume):
    flat = random_encoder(
        EncoderConfig(
            voxel_size_nm=(40.0, 5.0, 5.0),
            stages=(Stage(4, (1, 3, 3), (1, 2, 2)), Stage(4, (3, 2, 2), (1, 2, 2))),
            read=(0, 1),
            embedding_dim=4,
        )
    )
    voxels = np.random.default_rng(0).integers(1, 255, (6, 40, 90), np.uint8)
    volume = write_volume(voxels, (40.0, 5.0, 5.0))

    grid, found = embed_grid(open_backend(flat), volume)

    assert (grid.stride, grid.fov, grid.shape) == ((1, 4, 4), (3, 5, 5), (4, 9, 22))
    whole = embed_cutout(open_backend(flat), voxels, measure(volume))
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_with_a_segmentation_a_place_shows_only_the_segment_in_its_middle(
    encoder, tissue, tissue_volume, write_volume, backend
):
    labels = np.random.default_rng(0).integers(1, 3, tissue.shape).astype(np.uint32)
    segmentation = write_volume(labels, name="labels.zarr")
    window = Box.of_shape(encoder.fov, (4, 5, 6)).slices
    grey = measure(tissue_volume)(tissue[window]) * of_centre(labels[window])

    (found,) = embed_at(backend, tissue_volume, np.array([[7.5, 8.5, 9.5]]), segmentation)

    (expected,) = backend(grey[None])[:, 0, 0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_encoder_that_wants_masks_is_not_run_without_a_segmentation(encoder, tissue_volume):
    masked = dataclasses.replace(encoder, masked=True)

    with pytest.raises(MismatchError, match="needs a segmentation of that volume"):
        embed_at(open_backend(masked), tissue_volume, np.array([[7.5, 8.5, 9.5]]))


def test_places_far_apart_are_embedded_one_by_one_and_alike(encoder, tissue_volume, backend):
    stride = (16, 12, 14)

    grid, found = embed_grid(backend, tissue_volume, stride=stride)

    assert is_coarse(encoder, stride)
    assert not is_coarse(encoder, (2, 2, 2))
    alone = embed_at(backend, tissue_volume, grid.centres(grid.cells_of(np.arange(grid.size))))
    np.testing.assert_allclose(found.reshape(-1, 8), alone, atol=1e-5)
