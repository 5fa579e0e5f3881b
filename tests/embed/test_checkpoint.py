"""Tests of embed/checkpoint.py: an encoder in one file."""

import dataclasses
import io
import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.checkpoint import (
    FILE,
    TrainedEncoder,
    load_encoder,
    random_encoder,
    random_like,
    save_encoder,
)
from embed.encoder import EncoderConfig, Stage
from embed.errors import DataError, NotFoundError, StorageError

ORIGIN = ({"name": "crop", "source": "crop.zarr", "attributes": {"license": "CC BY 4.0"}},)


@pytest.fixture(scope="module")
def trained(encoder):
    return dataclasses.replace(encoder, step=300, trained_on=ORIGIN)


@pytest.fixture
def file(trained, tmp_path):
    save_encoder(trained, tmp_path / FILE)
    return tmp_path / FILE


def rewrite(file, change):
    """Changes what an encoder's file holds: `about` and the arrays, by name."""
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    about = json.loads(arrays.pop("about.json").tobytes())
    change(about, arrays)
    buffer = io.BytesIO()
    np.savez(
        buffer, **{"about.json": np.frombuffer(json.dumps(about).encode(), np.uint8)}, **arrays
    )
    file.write_bytes(buffer.getvalue())


@pytest.mark.parametrize("by", ["file", "folder"])
def test_an_encoder_comes_back_as_it_was_saved(trained, file, by):
    found = load_encoder(file if by == "file" else file.parent)

    assert found.config == trained.config
    assert (found.step, found.trained_on) == (300, ORIGIN)
    assert found.fingerprint == trained.fingerprint
    block = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 9, 9)).astype(np.float32))
    np.testing.assert_array_equal(found.apply(block), trained.apply(block))


def test_saving_twice_gives_the_same_bytes(trained, file, tmp_path):
    save_encoder(load_encoder(file), tmp_path / "again.npz")

    assert (tmp_path / "again.npz").read_bytes() == file.read_bytes()


def test_what_an_encoder_sees_is_that_of_its_config(encoder):
    assert (encoder.fov, encoder.stride) == ((7, 7, 7), (2, 2, 2))
    assert encoder.embedding_dim == 8
    assert encoder.voxel_size_nm == (10.0, 10.0, 10.0)


def test_the_fingerprint_is_of_shape_and_parameters_alone(encoder, trained):
    moved = jax.tree.map(lambda leaf: leaf, encoder.params)
    moved["head"]["bias"][...] += 1e-6
    finer = dataclasses.replace(encoder.config, voxel_size_nm=(8.0, 8.0, 8.0))

    assert trained.fingerprint == encoder.fingerprint
    assert TrainedEncoder(encoder.config, moved).fingerprint != encoder.fingerprint
    assert TrainedEncoder(finer, encoder.params).fingerprint != encoder.fingerprint
    assert len(encoder.fingerprint) == 32


def test_a_random_encoder_is_a_function_of_its_seed(encoder):
    assert random_encoder(encoder.config).fingerprint == encoder.fingerprint
    assert random_like(encoder, seed=1).fingerprint != encoder.fingerprint
    assert random_like(encoder, seed=1).config == encoder.config


@pytest.mark.parametrize("name", ["none", "none.npz"])
def test_a_missing_encoder_is_not_found_and_how_to_make_one_is_said(tmp_path, name):
    with pytest.raises(NotFoundError, match="no encoder at .*; train one with: voxkin train"):
        load_encoder(tmp_path / name)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:200],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-30],
        lambda content: b"",
        lambda content: b"\x89PNG\r\n\x1a\n" + content,
        lambda content: b"not at all an archive",
    ],
    ids=["head", "half", "end", "empty", "shifted", "text"],
)
def test_a_file_that_is_cut_short_or_foreign_is_refused(file, damage):
    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises(DataError, match=r"encoder\.npz is not an encoder of format 1"):
        load_encoder(file)


def test_an_array_of_numpy_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))

    with pytest.raises(DataError, match="is not an encoder of format 1"):
        load_encoder(tmp_path / "a.npy")


def test_an_archive_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / FILE, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")

    with pytest.raises(DataError, match="is not an encoder of format 1"):
        load_encoder(tmp_path)


def set_about(**values):
    return lambda about, _: about.update(values)


def set_config(**values):
    return lambda about, _: about["config"].update(values)


def nudge(_, arrays):
    name = next(name for name in arrays if "kernel" in name)
    arrays[name] = arrays[name] + np.float32(1e-3)


@pytest.mark.parametrize(
    "change",
    [
        set_config(voxel_size_nm=[8.0, 8.0, 8.0]),
        set_config(read=[1]),
        set_about(format=2),
        set_about(fingerprint="0" * 32),
        nudge,
    ],
    ids=["voxel size", "stages read", "format", "fingerprint", "a parameter"],
)
def test_what_was_changed_after_saving_is_noticed(file, change):
    rewrite(file, change)

    with pytest.raises(DataError, match="do not match its fingerprint|is not an encoder of format"):
        load_encoder(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda about, _: about.pop("fingerprint"),
        lambda about, _: about.pop("format"),
        lambda about, _: about.pop("config"),
        set_about(config=None),
        set_config(embedding_dim="eight"),
        set_config(embedding_dim=0),
        set_about(trained_on=None),
        lambda _, arrays: arrays.popitem(),
        lambda _, arrays: arrays.update(extra=np.zeros(2)),
        lambda _, arrays: arrays.update({name: a[..., :1] for name, a in arrays.items()}),
    ],
)
def test_a_file_of_missing_or_odd_parts_is_refused(file, change):
    rewrite(file, change)

    with pytest.raises(DataError, match="is not an encoder of format 1"):
        load_encoder(file)


def test_pickled_objects_are_never_loaded(file):
    np.savez(file, **{"about.json": np.array([{"format": 1}], dtype=object)})

    with pytest.raises(DataError, match="is not an encoder of format 1"):
        load_encoder(file)


def test_a_place_that_cannot_be_written_to_is_said_to_be_so(trained, tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(StorageError, match="a part of that path is a file"):
        save_encoder(trained, tmp_path / "file" / FILE)


def test_an_encoder_of_one_plain_stage_comes_back_too(tmp_path):
    plain = random_encoder(EncoderConfig(stages=(Stage(4, (1, 2, 2)),), read=(0,), embedding_dim=2))

    save_encoder(plain, tmp_path / FILE)

    assert load_encoder(tmp_path).fingerprint == plain.fingerprint
