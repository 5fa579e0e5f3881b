"""Tests of embed/checkpoint.py: an encoder in one file, whole and unmistakable."""

import dataclasses
import json

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
from embed.errors import DataError, NotFoundError


def test_an_encoder_that_was_saved_is_the_same_encoder(encoder, tissue, tmp_path):
    trained = TrainedEncoder(encoder.config, encoder.params, 7, ({"name": "a", "box_zyx": []},))
    block = tissue[None, :15, :15, :15].astype(np.float32)

    save_encoder(trained, tmp_path / FILE)
    found = load_encoder(tmp_path)

    assert found.fingerprint == trained.fingerprint
    assert (found.step, found.trained_on) == (7, trained.trained_on)
    assert found.config == trained.config
    np.testing.assert_array_equal(found.apply(block), trained.apply(block))


def test_the_fingerprint_tells_parameters_and_shapes_apart(encoder, tiny):
    other_seed = random_like(encoder, seed=1)

    assert random_encoder(tiny, seed=0).fingerprint == encoder.fingerprint
    assert other_seed.fingerprint != encoder.fingerprint
    assert other_seed.config == encoder.config


def test_a_file_from_before_there_were_filters_is_the_same_encoder(encoder, tmp_path):
    save_encoder(encoder, tmp_path / FILE)
    with np.load(tmp_path / FILE) as content:
        arrays = dict(content)
    about = json.loads(arrays["about.json"].tobytes())
    assert about["config"].pop("filters") == []
    arrays["about.json"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(tmp_path / FILE, **arrays)

    assert load_encoder(tmp_path).fingerprint == encoder.fingerprint


def test_an_encoder_that_reads_filters_is_another(encoder, tiny, tmp_path):
    reading = random_encoder(dataclasses.replace(tiny, filters=(1.0,)))

    save_encoder(reading, tmp_path / FILE)

    assert reading.fingerprint != encoder.fingerprint
    assert load_encoder(tmp_path).config.filters == (1.0,)


def test_voxel_sizes_within_the_tolerance_are_taken(encoder, tmp_path):
    z, y, x = encoder.voxel_size_nm
    wide = dataclasses.replace(encoder, tolerance=1.5)
    save_encoder(wide, tmp_path / "wide.npz")

    assert encoder.takes((z, y * 1.14, x / 1.14))
    assert not encoder.takes((z, y, x * 1.2))
    assert load_encoder(tmp_path / "wide.npz").takes((z * 1.4, y, x / 1.4))
    assert not wide.takes((z, y / 1.6, x))


def test_a_folder_without_an_encoder_says_how_to_make_one(tmp_path):
    with pytest.raises(NotFoundError, match="no encoder at .*voxkin train"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b[:-200], lambda b: b"", lambda b: b"hello" * 99])
def test_a_damaged_file_is_refused(encoder, tmp_path, damage):
    file = tmp_path / FILE
    save_encoder(encoder, file)
    file.write_bytes(damage(file.read_bytes()))

    with pytest.raises(DataError, match="is not an encoder"):
        load_encoder(file)


def rewrite(file, change):
    with np.load(file) as content:
        arrays = dict(content)
    change(arrays)
    np.savez(file, allow_pickle=False, **arrays)


def test_a_parameter_that_was_changed_is_noticed(encoder, tmp_path):
    file = tmp_path / FILE
    save_encoder(encoder, file)

    def change(arrays):
        name = next(n for n in arrays if "kernel" in n)
        arrays[name] = arrays[name] * 1.01

    rewrite(file, change)

    with pytest.raises(DataError, match="do not match its fingerprint"):
        load_encoder(file)


def test_a_parameter_that_is_missing_is_noticed(encoder, tmp_path):
    file = tmp_path / FILE
    save_encoder(encoder, file)
    rewrite(file, lambda arrays: arrays.pop(next(n for n in arrays if "kernel" in n)))

    with pytest.raises(DataError, match="names of the parameters"):
        load_encoder(file)


def test_a_configuration_that_was_changed_is_noticed(encoder, tmp_path):
    file = tmp_path / FILE
    save_encoder(encoder, file)

    def change(arrays):
        about = json.loads(arrays["about.json"].tobytes())
        about["config"]["voxel_size_nm"] = [40.0, 4.0, 4.0]
        arrays["about.json"] = np.frombuffer(json.dumps(about).encode(), np.uint8)

    rewrite(file, change)

    with pytest.raises(DataError, match="do not match its fingerprint"):
        load_encoder(file)


def test_what_kind_of_input_an_encoder_wants_is_kept(encoder, tmp_path):
    masked = dataclasses.replace(encoder, masked=True)

    save_encoder(masked, tmp_path / FILE)

    assert load_encoder(tmp_path).masked
    assert random_like(masked).masked
    assert masked.fingerprint != encoder.fingerprint


def test_a_file_that_does_not_say_wants_whole_fields_of_view(encoder, tmp_path):
    file = tmp_path / FILE
    save_encoder(encoder, file)

    def change(arrays):
        about = json.loads(arrays["about.json"].tobytes())
        del about["masked"]
        arrays["about.json"] = np.frombuffer(json.dumps(about).encode(), np.uint8)

    rewrite(file, change)

    assert not load_encoder(file).masked
