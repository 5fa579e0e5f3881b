"""Tests of embed/volume.py: what is read, and what is said of what cannot be."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from embed.errors import DataError, OutOfBoundsError
from embed.geometry import Box
from embed.volume import open_volume
from tests.embed.stored_volumes import VOXELS, make_array


def test_bool_is_read_as_zeros_and_ones(tmp_path):
    volume = open_volume(make_array(tmp_path, VOXELS % 2 == 1))

    assert volume.dtype == np.uint8
    np.testing.assert_array_equal(volume.read(volume.box), VOXELS % 2)


@pytest.mark.parametrize("dtype", ["int8", "uint32", "uint64", "float16", "float64"])
def test_every_real_data_type_is_read_as_it_is(tmp_path, dtype):
    volume = open_volume(make_array(tmp_path, VOXELS.astype(dtype)))

    assert volume.read(volume.box).dtype == volume.dtype == dtype


@pytest.mark.parametrize("by", [(-1, 0, 0), (0, 0, 1)])
def test_a_box_that_leaves_the_volume_is_refused_and_the_valid_one_named(tmp_path, by):
    volume = open_volume(make_array(tmp_path / "x.zarr"))

    with pytest.raises(OutOfBoundsError) as error:
        volume.read(volume.box.shifted(by))

    assert str(error.value).endswith(f"leaves 'x', whose voxels (ZYX) are {volume.box}")


def test_a_chunk_that_is_not_stored_has_the_fill_value(tmp_path):
    make_array(tmp_path, data_type="uint16", fill_value=7)
    (tmp_path / "c" / "0" / "1" / "2").unlink()

    volume = open_volume(tmp_path)

    expected = VOXELS.copy()
    expected[0:2, 2:4, 4:6] = 7
    np.testing.assert_array_equal(volume.read(volume.box), expected)


def test_a_truncated_chunk_is_reported_in_one_line_with_the_box_and_the_reason(tmp_path):
    make_array(tmp_path / "x.zarr", codecs=[{"name": "bytes"}, {"name": "zstd"}])
    chunk = tmp_path / "x.zarr" / "c" / "0" / "1" / "2"
    chunk.write_bytes(chunk.read_bytes()[:9])
    volume = open_volume(tmp_path / "x.zarr")

    with pytest.raises(DataError) as error:
        volume.read(volume.box)

    assert "cannot read Box(start=(0, 0, 0), stop=(4, 6, 8)) (voxels, ZYX) of 'x': " in str(
        error.value
    )
    assert 'c/0/1/2": ' in str(error.value)
    assert "\n" not in str(error.value)
    untouched = Box((2, 0, 0), (4, 6, 8))
    np.testing.assert_array_equal(volume.read(untouched), VOXELS[untouched.slices])


def test_a_chunk_is_decoded_once_and_looked_for_again_only_when_the_volume_is_reopened(tmp_path):
    volume = open_volume(make_array(tmp_path))
    before = volume.read(volume.box)
    for chunk in (tmp_path / "c").rglob("?/?/?"):
        chunk.unlink()

    np.testing.assert_array_equal(volume.read(volume.box), before)
    assert not open_volume(tmp_path).read(volume.box).any()


def test_many_threads_may_read_at_once(tmp_path):
    volume = open_volume(make_array(tmp_path))
    boxes = list(volume.box.tiles((1, 3, 5))) * 20

    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(volume.read, boxes))

    assert all((part == VOXELS[box.slices]).all() for part, box in zip(parts, boxes, strict=True))
