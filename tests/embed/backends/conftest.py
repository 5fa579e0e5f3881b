"""Encoders of every shape, and real tissue for them, for the tests of the backends."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from embed.backends.openvino import OpenVinoBackend
from embed.backends.xla import XlaBackend
from embed.checkpoint import TrainedEncoder, load_encoder
from embed.encoder import Encoder, EncoderConfig, Stage
from embed.geometry import Box
from embed.normaliser import measure
from embed.pretrained import FOLDER
from embed.samples import PATH
from embed.volume import open_volume

BACKENDS = {"xla": XlaBackend, "openvino": OpenVinoBackend}

# Of two even windows: the middle of a field of view lies between cells of the first two stages.
CONFIGS = {
    "one stage": EncoderConfig(stages=(Stage(8, (3, 3, 3), (2, 2, 2)),), read=(0,)),
    "too small for pairs": EncoderConfig(
        stages=(Stage(8, (3, 3, 3), (2, 2, 2)),), read=(0,), statistics=True
    ),
    "all read, some in the middle of two cells": EncoderConfig(
        stages=(
            Stage(6, (3, 3, 3), (2, 2, 2), blocks=1),
            Stage(5, (2, 2, 2), blocks=2),
            Stage(7, (2, 3, 2)),
        ),
        read=(0, 1, 2),
        embedding_dim=9,
        filters=(0.5, 2.0),
        tones=(1.0,),
        statistics=True,
    ),
    "sections": EncoderConfig(
        voxel_size_nm=(40.0, 5.0, 5.0),
        stages=(
            Stage(8, (1, 4, 4), (1, 3, 2)),
            Stage(6, (3, 2, 2), (1, 2, 2), blocks=1),
            Stage(8, (1, 3, 3)),
        ),
        read=(0, 2),
        embedding_dim=12,
        filters=(1.0, 2.0, 3.0),
        tones=(0.5, 2.0),
        statistics=True,
    ),
    "strides in every stage": EncoderConfig(
        stages=(
            Stage(4, (2, 2, 2), (2, 2, 1)),
            Stage(8, (3, 2, 1), (1, 2, 2), blocks=1),
            Stage(8, (2, 2, 3), (2, 1, 1), blocks=1),
        ),
        read=(1, 2),
        embedding_dim=5,
        tones=(1.5,),
    ),
}
PRETRAINED = ("isotropic", "sections of 40 nm")


@functools.cache
def encoder_named(name):
    """A pretrained encoder, or one of `CONFIGS` with all parameters drawn at random."""
    if name in PRETRAINED:
        return load_encoder(FOLDER / f"{name.split()[0]}.npz")
    config, rng = CONFIGS[name], np.random.default_rng(0)
    shapes = nnx.state(nnx.eval_shape(lambda: Encoder(config, rngs=nnx.Rngs(0))), nnx.Param)

    def drawn(parameter):
        # Not as before training, when pointwise blocks add nothing and a mistake would not show.
        centre, spread = (1, 0.3) if parameter.ndim == 1 else (0, parameter.size**-0.25)
        return jnp.asarray(rng.normal(centre, spread, parameter.shape), jnp.float32)

    return TrainedEncoder(config, jax.tree.map(drawn, shapes))


@functools.cache
def backend_of(kind, encoder, precision="float32"):
    """Made once, since compiling takes most of the time."""
    return BACKENDS[kind](encoder_named(encoder), precision)


@functools.cache
def tissue_for(encoder, cells=(3, 4, 5), batch=2):
    """Normalised blocks [batch, z, y, x] of the sample, of so many cells.

    For an encoder that reads segments only what is dark is shown.
    """
    config, volume = encoder_named(encoder).config, open_volume(PATH)
    shape = config.voxels(cells)
    normaliser = measure(volume)
    starts = [(0, 0, 0), (7, 31, 50)][:batch]
    blocks = np.stack([normaliser(volume.read(Box.of_shape(shape, start))) for start in starts])
    return np.where(blocks < 0, blocks, 0) if config.statistics else blocks


@pytest.fixture(params=[*CONFIGS, *PRETRAINED])
def name(request):
    """Of every encoder."""
    return request.param


@pytest.fixture(params=[*BACKENDS])
def kind(request):
    """Of every backend."""
    return request.param
