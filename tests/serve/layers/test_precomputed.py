"""Tests of serve/layers/precomputed.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed.errors import NotFoundError
from embed.geometry import Box, Frame
from serve.layers.precomputed import Placement, Scale, chunk_name, encode, info, parse_chunk

SCALE = Scale("0", (20, 33, 40), Frame((30.0, 8.0, 8.0), (0.0, 0.0, 0.0)), (16, 16, 16))


def scales(*sizes_and_corners):
    return [
        Scale(str(i), (8, 8, 8), Frame(size, corner), (4, 4, 4))
        for i, (size, corner) in enumerate(sizes_and_corners)
    ]


def shown_at(placed, number, scale, voxel):
    """Where Neuroglancer shows the centre of a voxel, ZYX nm."""
    size = np.array(scale.frame.voxel_size_nm)
    return (np.array(placed.offsets[number]) + voxel + 0.5) * size + placed.shift_nm


def test_whole_voxels_need_no_shift():
    placed = Placement.of(scales(((40.0, 4.0, 4.0), (80.0, -12.0, 8.0))))

    assert placed.offsets == ((2, -3, 2),)
    assert placed.transform(scales(((40.0, 4.0, 4.0), (0.0, 0.0, 0.0)))[0]) is None


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(*[st.floats(-1e6, 1e6)] * 3), st.tuples(*[st.floats(0.5, 400)] * 3), st.integers(0, 5)
)
def test_the_first_voxel_of_every_scale_is_shown_where_it_is(corner, size, most):
    finer = scales(*((tuple(edge * 2**i for edge in size), corner) for i in range(most + 1)))
    placed = Placement.of(finer)

    for number, scale in enumerate(finer):
        exact = np.add(corner, np.multiply(scale.frame.voxel_size_nm, 0.5))
        near = 2e-3 * max(size) * 2**number
        np.testing.assert_allclose(shown_at(placed, number, scale, 0), exact, atol=near)


def test_the_transform_moves_by_a_part_of_the_finest_voxel_in_x_y_z():
    finest, *_ = finer = scales(((60.0, 32.0, 32.0), (45.0, 52.0, 36.0)))

    transform = Placement.of(finer).transform(finest)

    # The nearest whole voxels are 60, 64 and 32 nm away (ZYX).
    assert transform["matrix"] == [[1, 0, 0, 4 / 32], [0, 1, 0, -12 / 32], [0, 0, 1, -15 / 60]]
    assert transform["outputDimensions"]["z"] == [pytest.approx(60e-9), "m"]


def test_chunks_of_a_scale_are_called_by_their_ends_and_found_again():
    boxes = list(Box((0, 0, 0), SCALE.shape).tiles(SCALE.chunk))
    names = [chunk_name(SCALE, (-5, 0, 7), box) for box in boxes]

    assert names[0] == "7-23_0-16_-5-11"
    assert names[-1] == "39-47_32-33_11-15"
    assert [parse_chunk(SCALE, (-5, 0, 7), name) for name in names] == boxes


@pytest.mark.parametrize(
    "name",
    "0-16_0-16 0-16_0-16_0-17 1-17_0-16_0-16 48-64_0-16_0-16 -16-0_0-16_0-16 0-16_0-16_0-16_0-16 "
    "../info 00-16_0-16_0-16 0-99999999999999999999_0-16_0-16 \u0660-16_0-16_0-16".split(),
)
def test_what_is_no_chunk_is_not_found_and_those_there_are_are_told(name):
    with pytest.raises(NotFoundError, match=r"40 x 33 x 20 voxels .* chunks of 16 x 16 x 16"):
        parse_chunk(SCALE, (0, 0, 0), name)


def test_a_description_counts_in_x_y_z():
    described = info("segmentation", np.dtype(np.uint16), [SCALE], named=True)

    (level,) = described["scales"]
    assert (level["size"], level["resolution"]) == ([40, 33, 20], [8, 8, 30])
    assert described["data_type"] == "uint16"
    assert described["segment_properties"] == "segment_properties"


def test_x_changes_fastest_in_a_chunk_whatever_the_machine():
    voxels = np.arange(6, dtype=">u2").reshape(1, 2, 3)

    assert encode(voxels) == bytes([0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0])
