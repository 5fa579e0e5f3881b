"""Tests of embed/encoder.py: a dense run is the patch-wise run, and what a configuration means."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from embed.angles import unit
from embed.checkpoint import TrainedEncoder, random_encoder
from embed.encoder import Encoder, EncoderConfig, Stage, count_params
from embed.errors import ConfigError
from embed.geometry import zyx

ISOTROPIC = EncoderConfig(
    stages=(
        Stage(8, (3, 3, 3), (2, 2, 2)),
        Stage(8, (3, 3, 3), blocks=1),
        Stage(12, (2, 2, 2), (2, 2, 2), blocks=1),
        Stage(16, (2, 2, 2)),
    ),
    read=(1, 3),
    embedding_dim=8,
)
"""As deep as the default network, with smaller kernels and fewer channels."""
ANISOTROPIC = EncoderConfig(
    voxel_size_nm=(45.0, 5.0, 5.0),
    stages=(
        Stage(8, (1, 3, 3), (1, 2, 2)),
        Stage(8, (3, 3, 3), blocks=1),
        Stage(12, (1, 2, 2), (1, 2, 2)),
        Stage(16, (1, 3, 3)),
    ),
    read=(1, 3),
    embedding_dim=8,
)
ODD = EncoderConfig(
    stages=(Stage(8, (2, 3, 4), (2, 1, 2)), Stage(8, (2, 4, 2), (1, 3, 1), blocks=1)),
    read=(0, 1),
    embedding_dim=4,
    filters=(1.0, 2.0),
)
"""No axis like another, and centres between two cells."""
CONFIGS = pytest.mark.parametrize(
    "config", [ISOTROPIC, ANISOTROPIC, ODD], ids=["isotropic", "anisotropic", "odd"]
)


made = functools.cache(random_encoder)


def blocks_of(config, cells, batch=1):
    drawn = np.random.default_rng(1).normal(size=(batch, *config.voxels(cells)))
    return drawn.astype(np.float32)


@CONFIGS
def test_a_dense_run_equals_the_run_on_every_field_of_view_by_itself(config):
    encoder = made(config)
    block = blocks_of(config, (3, 4, 2))

    dense = np.asarray(encoder.apply(jnp.asarray(block)))[0]

    patches = []
    for cell in itertools.product(range(3), range(4), range(2)):
        start = [c * s for c, s in zip(cell, config.stride, strict=True)]
        part = tuple(slice(a, a + f) for a, f in zip(start, config.fov, strict=True))
        patches.append(block[0][part])
    alone = np.asarray(encoder.apply(jnp.asarray(np.stack(patches))))[:, 0, 0, 0]
    assert dense.shape == (3, 4, 2, config.embedding_dim)
    difference = np.linalg.norm(dense.reshape(alone.shape) - alone, axis=-1)
    assert difference.max() <= 1e-4


@CONFIGS
def test_an_embedding_depends_on_its_field_of_view_to_the_edge_and_on_nothing_else(config):
    encoder = made(config)
    block = blocks_of(config, (2, 2, 2))[0]
    inside = np.zeros(block.shape, bool)
    inside[tuple(slice(f) for f in config.fov)] = True
    corner, end = block.copy(), block.copy()
    corner[0, 0, 0] += 9
    end[tuple(f - 1 for f in config.fov)] += 9

    changed = np.stack([block, np.where(inside, block, 9), corner, end])
    before, outside, at_corner, at_end = np.asarray(encoder.apply(jnp.asarray(changed)))[:, 0, 0, 0]

    np.testing.assert_allclose(outside, before, atol=1e-5)
    assert not np.allclose(at_corner, before, atol=1e-5)
    assert not np.allclose(at_end, before, atol=1e-5)


@CONFIGS
def test_embeddings_have_length_one(config):
    embeddings = made(config).apply(jnp.asarray(blocks_of(config, (2, 2, 2), batch=4)))

    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=-1), 1, atol=1e-5)


@CONFIGS
def test_cells_and_voxels_agree_and_a_block_too_small_by_one_gives_one_cell_less(config):
    for cells in [(1, 1, 1), (2, 3, 4)]:
        voxels = config.voxels(cells)
        assert config.cells(voxels) == cells
        assert config.cells(zyx(n - 1 for n in voxels)) == zyx(n - 1 for n in cells)
        embedded = jax.eval_shape(made(config).apply, np.zeros((1, *voxels), np.float32))
        assert embedded.shape == (1, *cells, config.embedding_dim)


@CONFIGS
def test_a_mirrored_network_gives_the_mirrored_grid(config):
    """What is read of a stage lies in the middle of the field of view, so no side is favoured."""
    encoder = made(config)
    flipped = jax.tree.map(
        lambda leaf: jnp.asarray(np.flip(leaf, (0, 1, 2))) if leaf.ndim == 5 else leaf,
        encoder.params,
    )
    block = blocks_of(config, (2, 2, 2), batch=4)

    there = TrainedEncoder(config, flipped).apply(jnp.asarray(np.flip(block, (1, 2, 3))))

    here = np.asarray(encoder.apply(jnp.asarray(block)))
    np.testing.assert_allclose(np.flip(there, (1, 2, 3)), here, atol=1e-5)


def test_the_default_sees_33_voxels_steps_8_and_reads_the_middle_cell_of_its_second_stage():
    config = EncoderConfig()

    assert (config.fov, config.stride) == ((33, 33, 33), (8, 8, 8))
    assert config.reach(1) == ((17, 17, 17), (8, 8, 8))
    assert config.window(1) == ((1, 1, 1), (1, 1, 1))
    assert config.window(2) == ((0, 0, 0), (1, 1, 1))


def test_a_network_of_flat_kernels_steps_less_across_sections_than_along_them():
    assert ANISOTROPIC.fov == (3, 17, 17)
    assert ANISOTROPIC.stride == (1, 4, 4)


def test_a_window_is_one_cell_where_one_lies_in_the_middle():
    config = EncoderConfig(
        stages=(Stage(8, (3, 3, 2)), Stage(8, (5, 4, 3), (2, 2, 2))), read=(0, 1)
    )

    first, count = config.window(0)

    assert first == (2, 1, 1)
    assert count == (1, 2, 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stages": ()}, "needs a stage"),
        ({"embedding_dim": 0}, "needs a stage, a channel"),
        ({"voxel_size_nm": (10.0, 0.0, 10.0)}, "voxel sizes > 0"),
        ({"voxel_size_nm": (10.0, float("nan"), 10.0)}, "voxel sizes > 0"),
        ({"stages": (Stage(0, (3, 3, 3)),), "read": (0,)}, "stage 0: width, kernel and stride"),
        ({"stages": (Stage(8, (3, 0, 3)),), "read": (0,)}, "at least 1"),
        ({"stages": (Stage(8, (3, 3, 3), (1, 1, 0)),), "read": (0,)}, "at least 1"),
        ({"stages": (Stage(8, (3, 3, 3), blocks=-1),), "read": (0,)}, "stage 0"),
        ({"read": (1,)}, "ends with 2; got"),
        ({"read": (3, 2)}, "stages 0 to 2"),
        ({"read": (2, 1)}, "rising order"),
        ({"read": (1, 1, 2)}, "rising order"),
    ],
)
def test_settings_that_make_no_network_are_refused_with_the_rule(settings, words):
    with pytest.raises(ConfigError, match=words):
        EncoderConfig(**settings)


def test_params_are_counted():
    config = EncoderConfig(stages=(Stage(4, (1, 2, 3), blocks=1),), read=(0,), embedding_dim=5)

    count = count_params(Encoder(config, rngs=nnx.Rngs(0)))

    convolution, block = 6 * 4 + 4, 2 * (4 * 4 + 4) + 8
    norm, head = 8, 4 * 5 + 5
    assert count == convolution + block + norm + head


def test_bfloat16_is_near_float32():
    encoder = made(ISOTROPIC)
    block = jnp.asarray(blocks_of(ISOTROPIC, (2, 2, 2), batch=4))

    exact, rough = encoder.apply(block), encoder.apply(block.astype(jnp.bfloat16))

    assert rough.dtype == jnp.float32
    cosine = np.sum(np.asarray(exact) * np.asarray(rough), axis=-1)
    assert cosine.min() > 0.995
    assert not np.array_equal(exact, rough)


def test_a_zero_vector_stays_zero_and_its_gradient_is_finite():
    x = jnp.asarray(np.float32([[0, 0], [3, 4]]))

    scaled, back = jax.vjp(jax.jit(unit), x)

    np.testing.assert_allclose(scaled, [[0, 0], [0.6, 0.8]], rtol=1e-6)
    assert np.isfinite(back(scaled)[0]).all()
