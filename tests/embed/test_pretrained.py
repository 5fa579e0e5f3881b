"""Tests of embed/pretrained.py: which encoder stands behind the name."""

import dataclasses
from pathlib import Path

import pytest

from embed import pretrained
from embed.checkpoint import random_encoder, save_encoder
from embed.config import load_preset
from embed.encoder import EncoderConfig, Stage
from embed.errors import MismatchError, NotFoundError, VolumeError

SMALL = EncoderConfig(stages=(Stage(8, (3, 3, 3)),), read=(0,), embedding_dim=4)
MADE_FOR = {"isotropic": (10.0, 10.0, 10.0), "sections": (36.0, 5.2, 5.2)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, size in MADE_FOR.items():
        encoder = random_encoder(dataclasses.replace(SMALL, voxel_size_nm=size))
        save_encoder(dataclasses.replace(encoder, tolerance=1.4), tmp_path / f"{name}.npz")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    return tmp_path


def chosen(*levels):
    """The voxel size of the encoder for a volume that has levels of these sizes."""

    def nearest(wanted):
        best = min(levels, key=lambda size: abs(size[2] - wanted[2]) + abs(size[0] - wanted[0]))
        if not all(0.66 < a / b < 1.5 for a, b in zip(best, wanted, strict=True)):
            raise VolumeError("no level is near")
        return best

    return pretrained.find_encoder(Path("pretrained"), nearest).voxel_size_nm


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        ([(10.0, 10.0, 10.0)], "isotropic"),
        ([(8.0, 8.0, 8.0)], "isotropic"),
        ([(45.0, 4.6, 4.6)], "sections"),
        ([(30.0, 6.0, 6.0)], "sections"),
        ([(4.0, 4.0, 4.0), (8.0, 8.0, 8.0), (16.0, 16.0, 16.0)], "isotropic"),
        ([(40.0, 2.0, 2.0), (40.0, 4.0, 4.0), (40.0, 8.0, 8.0)], "sections"),
    ],
)
def test_the_encoder_that_suits_the_voxels_is_chosen(folder, levels, name):
    assert chosen(*levels) == MADE_FOR[name]


def test_voxels_that_none_takes_are_refused_and_those_there_are_named(folder):
    with pytest.raises(
        MismatchError, match=r"takes this volume: no level is near. isotropic is made for 10 x 10"
    ):
        chosen((100.0, 100.0, 100.0))


def test_a_path_is_a_path(folder, tmp_path):
    encoder = random_encoder(SMALL)
    save_encoder(encoder, tmp_path / "mine.npz")

    found = pretrained.find_encoder(tmp_path / "mine.npz", lambda size: size)

    assert found.fingerprint == encoder.fingerprint


def test_an_encoder_of_thick_sections_is_adapted_on_flat_blocks():
    preset = load_preset("adapt")
    cubic, flat = (
        random_encoder(dataclasses.replace(SMALL, voxel_size_nm=size)) for size in MADE_FOR.values()
    )

    assert pretrained.like_encoder(preset, flat).sampling.places == (3, 5, 5)
    assert pretrained.like_encoder(preset, cubic).sampling == preset.sampling
    assert pretrained.like_encoder(preset, flat).encoder == flat.config


@pytest.mark.parametrize("size", MADE_FOR.values(), ids=MADE_FOR.keys())
def test_along_segments_every_block_has_one_place(size):
    shape = dataclasses.replace(SMALL, voxel_size_nm=size, embedding_dim=8, statistics=True)

    config = pretrained.like_encoder(load_preset("segments"), random_encoder(shape))

    assert config.sampling.places == (1, 1, 1)
    assert config.encoder == shape.plain
    assert config.train.read_segment > 0


@pytest.mark.parametrize("size", MADE_FOR.values(), ids=MADE_FOR.keys())
def test_training_goes_on_with_the_filters_that_an_encoder_reads(size):
    shape = dataclasses.replace(SMALL, voxel_size_nm=size, filters=(1.5, 3.0))

    config = pretrained.like_encoder(load_preset("adapt"), random_encoder(shape))

    assert config.train.filter_scales == (1.5, 3.0)
    assert config.train.read_filters > 0
    assert config.encoder == dataclasses.replace(shape, filters=())


def test_an_installation_without_encoders_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "none")

    with pytest.raises(NotFoundError, match="no pretrained encoders"):
        chosen((10.0, 10.0, 10.0))
