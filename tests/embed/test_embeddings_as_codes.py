"""Tests of embed/embeddings.py where int8 codes are stored: how they are made, read and refused."""

import json

import numpy as np
import pytest
import tensorstore as ts

from embed.embeddings import EmbeddingStore
from embed.errors import DataError, MismatchError
from embed.geometry import Box
from embed.quantiser import Quantiser

SHAPE, DIM, SHARD = (9, 10, 19), 5, (8, 8, 8)
FIRST = Box((0, 0, 0), (8, 8, 8))
CORNER = Box((8, 8, 16), (9, 10, 19))
"""The last shard, which the end of the array cuts on every axis."""
QUANTISER = Quantiser((1.0, 0.8, 0.7, 2 / 3, 0.6))


def vectors(box):
    return np.random.default_rng(0).normal(size=(*box.shape, DIM)).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    """An empty store of float16."""
    return EmbeddingStore.create(tmp_path / "e.zarr", SHAPE, DIM, SHARD)


@pytest.fixture
def coded(tmp_path):
    """An empty store of int8 codes."""
    return EmbeddingStore.create(tmp_path / "coded.zarr", SHAPE, DIM, SHARD, QUANTISER)


def with_attributes(store, change):
    """Changes what is stored beside the codes, as damage would."""
    file = store.path / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["attributes"].update(change)
    file.write_text(json.dumps(metadata))


@pytest.mark.parametrize("box", [FIRST, CORNER, Box((0, 0, 8), (8, 10, 19))])
def test_an_int8_store_reads_the_unit_vectors_that_its_codes_stand_for(coded, box):
    written = vectors(box)
    written[0, 0, 0] = 0  # a void

    coded.write(box, written)

    found = coded.read(box)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, QUANTISER.decode(QUANTISER.encode(written)))
    lengths = np.linalg.norm(written, axis=-1, keepdims=True)
    np.testing.assert_allclose(found, written / np.where(lengths > 0, lengths, 1), atol=0.02)
    has_data = coded.read(coded.cells).any(axis=-1)
    assert not has_data[box.start]
    assert np.count_nonzero(has_data) == box.size - 1


def test_an_int8_store_reads_single_cells_as_it_reads_boxes(coded):
    written = vectors(coded.cells)
    coded.write(coded.cells, written)
    cells = np.random.default_rng(0).integers(0, SHAPE, size=(50, 3))

    found = coded.read_at(cells)

    np.testing.assert_array_equal(found, coded.read(coded.cells)[tuple(cells.T)])


@pytest.mark.parametrize("name", ["store", "coded"])
@pytest.mark.parametrize("box", [FIRST, CORNER])
def test_what_is_stored_is_what_encode_gave_and_may_be_written_as_such(name, box, request):
    store = request.getfixturevalue(name)
    stored = store.encode(vectors(box))

    store.write(box, stored)

    found = store.read_stored(box)
    assert found.dtype == stored.dtype == store.dtype
    assert found.tobytes() == stored.tobytes()
    (file,) = (path for path in (store.path / "c").rglob("*") if path.is_file())
    first = file.read_bytes()
    store.write(box, vectors(box))
    assert file.read_bytes() == first


@pytest.mark.parametrize("name", ["store", "coded"])
def test_numbers_that_are_neither_embeddings_nor_codes_are_refused(name, request):
    store = request.getfixturevalue(name)

    with pytest.raises(ValueError, match="is stored; cannot write uint8"):
        store.write(FIRST, np.zeros((*FIRST.shape, DIM), np.uint8))


def test_an_embedding_that_is_not_finite_is_refused_by_an_int8_store(coded):
    written = vectors(FIRST)
    written[1, 2, 3, 4] = np.nan

    with pytest.raises(DataError, match="1 of 2560 numbers are NaN"):
        coded.write(FIRST, written)
    assert not coded.read(coded.cells).any()


def test_any_zarr_reader_can_decode_an_int8_store_by_its_attributes(coded):
    coded.write(FIRST, vectors(FIRST))
    attributes = json.loads((coded.path / "zarr.json").read_text())["attributes"]
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{coded.path}/"}}
    codes = ts.open(spec).result()[FIRST.slices].read().result()

    values = codes * np.array(attributes["scale"])
    values /= np.linalg.norm(values, axis=-1, keepdims=True)

    assert attributes["decode"] == "embedding[c] = code[c] * scale[c], then scaled to length 1"
    np.testing.assert_allclose(coded.read(FIRST), values, atol=1e-7)


def test_an_int8_store_opens_again_with_its_scales(coded):
    coded.write(CORNER, vectors(CORNER))

    for found in (
        EmbeddingStore.open(coded.path),
        EmbeddingStore.create(coded.path, SHAPE, DIM, SHARD, QUANTISER),
    ):
        assert (found.quantiser, found.dtype) == (QUANTISER, np.int8)
        np.testing.assert_array_equal(found.read(CORNER), coded.read(CORNER))


def test_a_float16_store_has_no_quantiser_and_no_attributes(store):
    assert (EmbeddingStore.open(store.path).quantiser, store.dtype) == (None, np.float16)
    assert "attributes" not in json.loads((store.path / "zarr.json").read_text())


@pytest.mark.parametrize(
    ("other", "said"),
    [(None, "data_type"), (Quantiser((0.5,) * DIM), r"\(it has other scales, or none\)")],
)
def test_an_int8_store_of_other_scales_or_none_is_refused(coded, other, said):
    with pytest.raises(DataError, match=f"is not the array that belongs there .*{said}"):
        EmbeddingStore.create(coded.path, SHAPE, DIM, SHARD, other)


def test_a_float16_store_in_place_of_an_int8_store_is_refused(store):
    with pytest.raises(DataError, match="is not the array that belongs there .*data_type"):
        EmbeddingStore.create(store.path, SHAPE, DIM, SHARD, QUANTISER)


def test_a_quantiser_for_vectors_of_another_length_is_refused(tmp_path):
    with pytest.raises(MismatchError, match="5 scales, and embeddings of 6 numbers"):
        EmbeddingStore.create(tmp_path / "e.zarr", SHAPE, DIM + 1, SHARD, QUANTISER)
    assert not (tmp_path / "e.zarr").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scale": [0.5] * (DIM - 1)}, "it has 4 scales for 5 channels"),
        ({"scale": [0.5] * (DIM - 1) + [-1]}, "scales are numbers from"),
        ({"scale": "0.5"}, '"scale" should be a list of numbers'),
        ({"decode": "embedding[c] = code[c]"}, '"decode" should be'),
    ],
)
def test_damaged_scales_are_said_to_be_so(coded, change, said):
    with_attributes(coded, change)

    with pytest.raises(DataError, match=f"cannot be read: .*{said}"):
        EmbeddingStore.open(coded.path)
    with pytest.raises(DataError, match="is not the array that belongs there"):
        EmbeddingStore.create(coded.path, SHAPE, DIM, SHARD, QUANTISER)
