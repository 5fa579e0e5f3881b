"""Tests of embed/quantiser.py: what int8 codes keep of an embedding, and what they refuse."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embed.checkpoint import load_encoder
from embed.errors import DataError
from embed.geometry import Box
from embed.normaliser import measure
from embed.pretrained import FOLDER
from embed.quantiser import DECODE, Quantiser
from embed.samples import PATH
from embed.volume import open_volume

DIM = 4
NEAREST = 10

scales = st.tuples(*[st.floats(1e-6, 1)] * DIM)
numbers = st.floats(-1e3, 1e3, width=32)
vectors = arrays(np.float32, st.tuples(st.integers(1, 5), st.just(DIM)), elements=numbers)


@pytest.fixture(scope="module")
def embedded():
    """Real embeddings [n, dim]: a corner of the sample, by the pretrained encoder."""
    encoder = load_encoder(FOLDER / "isotropic.npz")
    volume = open_volume(PATH)
    grey = measure(volume)(volume.read(Box((0, 0, 0), (81, 161, 161))))
    return np.asarray(encoder.apply(jnp.asarray(grey[None]))).reshape(-1, encoder.embedding_dim)


def cosines(a, b):
    return a.astype(np.float64) @ b.astype(np.float64).T


def lengths(values):
    return np.linalg.norm(values.astype(np.float64), axis=-1)


@given(scales, vectors)
def test_only_the_zero_vector_has_codes_that_are_all_zero(scale, values):
    quantiser = Quantiser(scale)
    codes = quantiser.encode(values)

    assert codes.dtype == np.int8
    np.testing.assert_array_equal(codes.any(axis=-1), values.any(axis=-1))
    assert set(np.abs(codes.astype(int)).max(axis=-1)) <= {0, 127}


@given(scales, st.floats(min_value=5e-324, max_value=1e300), st.integers(0, DIM - 1))
def test_a_vector_as_small_or_large_as_a_number_can_be_is_no_void(scale, value, channel):
    quantiser = Quantiser(scale)
    values = np.zeros((1, DIM))
    values[0, channel] = value

    codes = quantiser.encode(values)

    np.testing.assert_array_equal(codes[0], 127 * (np.arange(DIM) == channel))


@given(scales, vectors)
def test_a_vector_is_decoded_to_length_1_and_a_void_stays_void(scale, values):
    quantiser = Quantiser(scale)
    decoded = quantiser.decode(quantiser.encode(values))

    assert decoded.dtype == np.float32
    np.testing.assert_allclose(lengths(decoded), values.any(axis=-1), atol=1e-6)


def test_codes_are_steps_of_the_scale_with_the_largest_at_127():
    quantiser = Quantiser((1.0, 1.0, 0.5, 0.25))
    values = np.array([[0.6, 0.8, 0.0, 0.0], [0.6, 0.0, 0.0, -0.8], [0.0, 0.0, 0.0, 0.0]])

    codes = quantiser.encode(values)

    assert codes.tolist() == [[95, 127, 0, 0], [24, 0, 0, -127], [0, 0, 0, 0]]
    unit = [[95, 127, 0, 0], [24, 0, 0, -127 / 4], [0, 0, 0, 0]] / np.array(
        [[np.hypot(95, 127)], [np.hypot(24, 127 / 4)], [1]]
    )
    np.testing.assert_array_equal(quantiser.decode(codes), unit.astype(np.float32))


@given(scales, vectors)
def test_the_angle_between_a_vector_and_its_codes_is_within_the_bound(scale, values):
    values = values[values.any(axis=-1)].astype(np.float64)
    values /= np.maximum(lengths(values), 1e-300)[:, None]
    quantiser = Quantiser(scale)

    decoded = quantiser.decode(quantiser.encode(values)).astype(np.float64)

    along = np.sum(values * decoded, axis=-1, keepdims=True)
    sine = lengths(values - along * decoded)
    bound = lengths(np.array(scale)) / 254 * np.abs(values / scale).max(axis=-1, initial=0)
    assert (sine <= bound + 1e-6).all()


@given(scales, vectors)
def test_codes_do_not_change_when_they_are_decoded_and_encoded_again(scale, values):
    quantiser = Quantiser(scale)
    codes = quantiser.encode(values)

    np.testing.assert_array_equal(quantiser.encode(quantiser.decode(codes)), codes)


@given(scales, vectors, st.integers(-20, 20))
def test_the_length_of_a_vector_and_the_order_of_memory_change_nothing(scale, values, power):
    quantiser = Quantiser(scale)
    codes = quantiser.encode(values)
    turned = np.asfortranarray(values.astype(np.float64) * 2.0**power)

    np.testing.assert_array_equal(quantiser.encode(turned), codes)
    np.testing.assert_array_equal(quantiser.encode(-values), -codes)
    np.testing.assert_array_equal(
        quantiser.decode(np.asfortranarray(codes)), quantiser.decode(codes)
    )


@given(scales)
def test_scales_are_the_same_after_they_were_stored_as_json(scale):
    quantiser = Quantiser(scale)
    stored = json.loads(json.dumps(quantiser.attributes))

    assert Quantiser.from_attributes(stored) == quantiser


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused(value):
    values = np.ones((3, DIM), np.float32)
    values[1, 2] = value

    with pytest.raises(DataError, match="1 of 12 numbers are NaN, infinite"):
        Quantiser((1.0,) * DIM).encode(values)
    with pytest.raises(DataError, match="1 of 12 numbers are NaN, infinite"):
        Quantiser.measure(values)


def test_a_sample_without_data_is_refused():
    with pytest.raises(DataError, match="no location of the sample has data"):
        Quantiser.measure(np.zeros((3, DIM), np.float32))
    with pytest.raises(DataError, match="no location of the sample has data"):
        Quantiser.measure(np.zeros((0, DIM), np.float32))


@pytest.mark.parametrize("scale", [(), (0.5, 0.0), (0.5, -1.0), (0.5, 1.1), (float("nan"),)])
def test_scales_that_cannot_be_are_refused(scale):
    with pytest.raises(ValueError, match="scales are numbers from 1e-06 to 1"):
        Quantiser(scale)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"decode": "embedding[c] = code[c]"}, '"decode" should be'),
        ({"scale": None}, '"scale" should be a list of numbers'),
        ({"scale": [0.5, "0.5"]}, '"scale" should be a list of numbers'),
        ({"scale": [0.5, True]}, '"scale" should be a list of numbers'),
        ({"scale": [0.5, 0]}, "scales are numbers from"),
        ({"scale": []}, "scales are numbers from"),
    ],
)
def test_damaged_attributes_are_refused(damage, said):
    with pytest.raises(ValueError, match=said):
        Quantiser.from_attributes({"scale": [0.5, 1.0], "decode": DECODE} | damage)


def test_a_dimension_that_holds_more_gets_larger_steps_by_the_square_root():
    sample = np.array([[1.0, 0.25, 0.04, 0.0]] * 3 + [[0.0] * 4])

    # The last would get 0, and steps so small that one use of it would leave none for the others.
    assert Quantiser.measure(sample).scale == (1.0, 0.5, 0.2, 0.1)


@given(vectors, st.randoms(use_true_random=False))
def test_voids_length_and_order_of_the_sample_change_no_scale(values, random):
    sample = np.concatenate([values, [[1, 1, 1, 1]], [[1, 0, 1, 0]]]).astype(np.float64)
    shuffled = np.concatenate([np.zeros((2, DIM)), 0.5 * sample])[:: random.choice((1, -1))]

    np.testing.assert_allclose(
        Quantiser.measure(shuffled).scale, Quantiser.measure(sample).scale, atol=1.01e-4
    )


def test_int8_keeps_the_ten_nearest_of_real_embeddings(embedded):
    decoded = (quantiser := Quantiser.measure(embedded[::7])).decode(quantiser.encode(embedded))
    exact, found = cosines(embedded, embedded), cosines(decoded, decoded)
    for similarity in (exact, found):
        np.fill_diagonal(similarity, -np.inf)

    least = np.sort(exact, axis=1)[:, -NEAREST, None]
    nearest = np.argsort(-found, axis=1)[:, :NEAREST]

    recall = (np.take_along_axis(exact, nearest, axis=1) >= least).mean()
    assert recall >= 0.97
    assert np.sum(embedded * decoded, axis=1).min() > 1 - 1e-4
