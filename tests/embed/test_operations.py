"""Tests of embed/operations.py, against counts of what is really computed."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.checkpoint import random_encoder
from embed.dense import embed_block, is_coarse
from embed.encoder import EncoderConfig, Stage
from embed.geometry import Grid
from embed.normaliser import Normaliser
from embed.operations import of_block, of_one, per_location
from tests.embed.backends.conftest import CONFIGS, PRETRAINED, backend_of, encoder_named

pytestmark = pytest.mark.slow

NAMES = [*CONFIGS, *PRETRAINED]


def products(jaxpr):
    """Twice the multiplications of all matrix products of a traced program."""
    total = 0
    for equation in jaxpr.eqns:
        inner = [v.jaxpr for v in equation.params.values() if hasattr(v, "jaxpr")]
        total += sum(products(part) for part in inner)
        if equation.primitive.name == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            length = math.prod(equation.invars[0].aval.shape[axis] for axis in summed)
            total += 2 * length * math.prod(equation.outvars[0].aval.shape)
    return total


@pytest.mark.parametrize("cells", [(1, 1, 1), (3, 4, 5)])
@pytest.mark.parametrize("name", NAMES)
def test_a_block_has_the_operations_that_are_traced(name, cells):
    config = dataclasses.replace(encoder_named(name).config, filters=(), tones=())
    encoder = random_encoder(config)
    block = jnp.zeros((1, *config.voxels(cells)))

    traced = jax.make_jaxpr(encoder.run)(encoder.params, block)

    assert of_block(config, cells) == products(traced.jaxpr) > 0


def test_means_are_counted_by_hand():
    plain = EncoderConfig((40.0, 5.0, 5.0), (Stage(8, (1, 5, 5), (1, 2, 2)),), (0,), 6)
    config = dataclasses.replace(plain, tones=(1.0, 2.0))

    along_z = 3 * 7 * 9 * 1 * 2
    along_y = 3 * 2 * 9 * 5 * 2
    along_x = 3 * 2 * 3 * 5 * 2
    turn = 3 * 2 * 3 * (6 + 4) * 6
    assert of_block(config, (3, 2, 3)) - of_block(plain, (3, 2, 3)) == 2 * (
        along_z + along_y + along_x + turn
    )


def test_filters_are_counted_by_hand():
    plain = EncoderConfig((40.0, 5.0, 5.0), (Stage(8, (1, 5, 5), (1, 2, 2)),), (0,), 4)
    config = dataclasses.replace(plain, filters=(1.0, 2.0))

    # One order of derivatives after the pass along z, three after y and six after x, two scales.
    along_z = 3 * 7 * 9 * 1 * (1 * 1) * 2
    along_y = 3 * 2 * 9 * 5 * (1 * 3) * 2
    along_x = 3 * 2 * 3 * 5 * (3 * 6) * 2
    head = 3 * 2 * 3 * 8 * 4
    assert config.voxels((3, 2, 3)) == (3, 7, 9)
    assert of_block(config, (3, 2, 3)) - of_block(plain, (3, 2, 3)) == 2 * (
        along_z + along_y + along_x + head
    )


def test_an_encoder_of_one_stage_is_counted_by_hand():
    # 2 x 2 x 2 cells of 8 channels from windows of 3 x 3 x 3 voxels, then 8 x 64 for each.
    assert of_block(CONFIGS["one stage"], (2, 2, 2)) == 2 * 8 * (8 * 27 + 8 * 64)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_of_view_by_itself_costs_more_than_as_a_part_of_a_block(name):
    config = encoder_named(name).config

    shared = [per_location(config, config.stride, (n, n, n)) for n in (1, 4, 32)]

    assert shared[0] == of_one(config)
    assert shared == sorted(shared, reverse=True)


class Counting:
    """A backend that adds up the operations of what it is given."""

    def __init__(self, backend):
        self._backend, self.encoder, self.operations = backend, backend.encoder, 0
        self.kind, self.precision = backend.kind, backend.precision
        self.platform, self.parallel = backend.platform, backend.parallel
        self.fill = backend.fill

    def __call__(self, blocks, half=False):
        cells = self.encoder.config.cells(blocks.shape[1:])
        self.operations += len(blocks) * of_block(self.encoder.config, cells)
        return self._backend(blocks, half)


@pytest.mark.parametrize("stride", [(2, 2, 2), (1, 2, 1), (1, 1, 1), (4, 2, 2), (4, 4, 4)])
def test_locations_of_any_stride_cost_what_embedding_a_block_of_them_takes(stride):
    counting, cells = Counting(backend_of("xla", "one stage")), (8, 8, 8)
    config = counting.encoder.config
    grid = Grid((0, 0, 0), config.fov, stride, cells)
    voxels = np.ones(grid.voxels(grid.cells).shape, np.uint8)

    embed_block(counting, Normaliser(0.0, 1.0), grid, cells, voxels)

    shared = min(per_location(config, stride, cells), of_one(config))
    assert counting.operations == shared * grid.size


def test_where_one_by_one_is_cheaper_it_is_done_so():
    encoder = encoder_named("one stage")

    assert not is_coarse(encoder, (2, 2, 2))
    assert is_coarse(encoder, (8, 8, 8))
