"""Tests of embed/embeddings.py: whole shards in, any box out."""

import resource

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given
from hypothesis import strategies as st

from embed.embeddings import EmbeddingStore
from embed.errors import (
    AlignmentError,
    ConfigError,
    DataError,
    NotFoundError,
    OutOfBoundsError,
    StorageError,
)
from embed.geometry import Box

SHAPE, DIM, SHARD = (9, 10, 19), 5, (8, 8, 8)
FIRST = Box((0, 0, 0), (8, 8, 8))
CORNER = Box((8, 8, 16), (9, 10, 19))
"""The last shard, which the end of the array cuts on every axis."""


def vectors(box, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(*box.shape, DIM))
    return drawn.astype(np.float16).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore.create(tmp_path / "e.zarr", SHAPE, DIM, SHARD)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A store with every shard written, and what was written."""
    made = EmbeddingStore.create(tmp_path_factory.mktemp("full") / "e.zarr", SHAPE, DIM, SHARD)
    written = vectors(made.cells)
    for box in made.shards:
        made.write(box, written[box.slices])
    return made, written


def shard_file(store, shard):
    """The file of a shard, by its index."""
    return store.path / "c" / "/".join(map(str, shard)) / "0"


def test_the_shards_cover_the_array_in_zyx_order(store):
    shards = list(store.shards)

    assert len(shards) == 2 * 2 * 3
    assert (shards[0], shards[-1]) == (FIRST, CORNER)
    assert sum(box.size for box in shards) == store.cells.size


@pytest.mark.parametrize("box", [FIRST, CORNER, Box((0, 0, 8), (8, 10, 19))])
def test_a_write_fills_its_box_and_nothing_else(store, box):
    written = vectors(box)

    store.write(box, written)

    np.testing.assert_array_equal(store.read(box), written)
    assert np.count_nonzero(store.read(store.cells)) == written.size


def test_embeddings_are_rounded_to_float16_and_come_back_as_float32(store):
    written = np.random.default_rng(0).normal(size=(*FIRST.shape, DIM)).astype(np.float32)

    store.write(FIRST, written)

    found = store.read(FIRST)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, written.astype(np.float16))
    assert (found != written).any()


def test_what_was_never_written_reads_as_the_zero_vector_of_a_void(store):
    assert not store.read(store.cells).any()
    assert not store.read_at(np.array([[0, 0, 0], [8, 9, 18]])).any()


@given(st.data())
def test_any_box_reads_what_was_written(full, data):
    store, written = full
    start = [data.draw(st.integers(0, n - 1)) for n in SHAPE]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, SHAPE, strict=True)]
    box = Box(tuple(start), tuple(stop))

    np.testing.assert_array_equal(store.read(box), written[box.slices])


def test_single_cells_read_what_was_written_in_the_order_asked(full):
    store, written = full
    cells = np.random.default_rng(0).integers(0, SHAPE, size=(50, 3))

    found = store.read_at(cells)

    np.testing.assert_array_equal(found, written[tuple(cells.T)])


def test_numbered_cells_read_the_same_in_memory_as_in_the_store(store):
    written = vectors(FIRST)
    store.write(FIRST, written)
    numbers = np.array([0, 3, store.cells.size - 1, 19, 0])
    cells = np.stack(np.unravel_index(numbers, SHAPE), axis=-1)
    stored = store.read_numbered(numbers)

    store.keep(store.read(store.cells).reshape(-1, DIM))

    np.testing.assert_array_equal(stored, store.read_at(cells))
    np.testing.assert_array_equal(store.read_numbered(numbers), stored)
    for bad in (-1, store.cells.size):
        with pytest.raises(OutOfBoundsError, match=f"no location {bad}: ids run from 0 to 1709"):
            store.read_numbered(np.array([0, bad]))


@pytest.mark.parametrize(
    ("box", "whole"),
    [
        (Box((0, 0, 0), (8, 8, 7)), FIRST),
        (Box((0, 4, 0), (4, 8, 8)), FIRST),
        (Box((8, 8, 17), (9, 10, 19)), CORNER),
        (Box((0, 0, 4), (8, 8, 12)), Box((0, 0, 0), (8, 8, 16))),
    ],
)
def test_a_part_of_a_shard_is_refused_and_the_box_to_use_is_named(store, box, whole):
    with pytest.raises(AlignmentError) as error:
        store.write(box, vectors(box))

    assert f"the nearest box of whole shards is {whole}" in str(error.value)
    assert not store.read(store.cells).any()


def test_a_box_that_leaves_the_array_is_refused_for_reading_and_writing(store):
    box = Box((8, 8, 16), (16, 16, 24))

    with pytest.raises(OutOfBoundsError, match=r"the array ends at zyx=\(9, 10, 19\)"):
        store.write(box, vectors(box))
    with pytest.raises(OutOfBoundsError, match=r"the array ends at zyx=\(9, 10, 19\)"):
        store.read(box)


@pytest.mark.parametrize("cell", [(0, 0, 19), (-1, 0, 0)])
def test_a_cell_that_is_not_in_the_array_is_refused(store, cell):
    with pytest.raises(OutOfBoundsError, match="the array ends at"):
        store.read_at(np.array([(1, 1, 1), cell]))


def test_vectors_of_another_shape_are_refused(store):
    with pytest.raises(ValueError, match=r"takes embeddings of shape \(8, 8, 8, 5\)"):
        store.write(FIRST, np.zeros((8, 8, 8, 4), np.float32))


@pytest.mark.parametrize("shard", [(8, 8, 6), (0, 4, 4)])
def test_a_shard_of_part_chunks_is_refused(tmp_path, shard):
    with pytest.raises(ConfigError, match="a shard holds whole chunks"):
        EmbeddingStore.create(tmp_path / "e.zarr", SHAPE, DIM, shard)


@pytest.mark.parametrize("box", [FIRST, CORNER])
@pytest.mark.parametrize("damage", ["cut short", "a byte flipped", "emptied"])
def test_a_damaged_shard_is_said_to_be_so_and_can_be_written_anew(store, box, damage):
    written = vectors(box)
    store.write(box, written)
    file = shard_file(store, [a // n for a, n in zip(box.start, SHARD, strict=True)])
    good = file.read_bytes()
    bad = {
        "cut short": good[:30],
        "a byte flipped": bytes([good[0] ^ 1]) + good[1:],
        "emptied": b"",
    }
    file.write_bytes(bad[damage])

    with pytest.raises(DataError, match="are corrupt .*--verify"):
        store.read(box)
    store.write(box, written)

    np.testing.assert_array_equal(store.read(box), written)
    assert file.read_bytes() == good


def test_a_store_opens_again_with_everything_it_was_made_with(full):
    store, written = full

    found = EmbeddingStore.open(store.path)

    assert (found.cells, found.dim, found.shard) == (store.cells, DIM, SHARD)
    np.testing.assert_array_equal(found.read(CORNER), written[CORNER.slices])


def test_creating_twice_opens_what_is_there(store):
    store.write(FIRST, vectors(FIRST))

    again = EmbeddingStore.create(store.path, SHAPE, DIM, SHARD)

    np.testing.assert_array_equal(again.read(FIRST), vectors(FIRST))


@pytest.mark.parametrize("other", [((9, 10, 20), DIM, SHARD), (SHAPE, 6, SHARD)])
def test_another_array_in_its_place_is_refused(store, other):
    with pytest.raises(DataError, match="is not the array that belongs there"):
        EmbeddingStore.create(store.path, *other)


def test_damaged_metadata_are_refused(store):
    (store.path / "zarr.json").write_text('{"zarr_format": 3')

    with pytest.raises(DataError, match="cannot be read: .*Invalid JSON"):
        EmbeddingStore.open(store.path)
    with pytest.raises(DataError, match="Invalid JSON"):
        EmbeddingStore.create(store.path, SHAPE, DIM, SHARD)


def test_a_place_without_a_store_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match="no embeddings at"):
        EmbeddingStore.open(tmp_path / "none")


def test_a_full_disk_is_said_and_leaves_the_shard_as_it_was(store):
    store.write(FIRST, vectors(FIRST))
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="cannot write the embeddings at .*e.zarr: a file"):
            store.write(FIRST, vectors(FIRST, seed=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))

    np.testing.assert_array_equal(store.read(FIRST), vectors(FIRST))


def test_a_place_that_cannot_be_written_to_is_said_to_be_so(tmp_path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(StorageError, match="a part of that path is a file"):
        EmbeddingStore.create(tmp_path / "file" / "e.zarr", SHAPE, DIM, SHARD)


def test_an_array_of_other_numbers_is_no_store(tmp_path):
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/"}}
    ts.open(spec, create=True, dtype=ts.float32, shape=[2, 2, 2, 3]).result()

    with pytest.raises(DataError, match="it holds float32, not float16 or int8"):
        EmbeddingStore.open(tmp_path)


def test_a_list_of_vectors_is_stored_in_chunks_of_its_own_shape(tmp_path):
    made = EmbeddingStore.create(
        tmp_path / "e.zarr", (1, 1, 300), DIM, (1, 1, 256), chunk=(1, 1, 64)
    )
    written = vectors(made.cells)
    for box in made.shards:
        made.write(box, written[box.slices])

    found = EmbeddingStore.open(made.path)

    assert (found.shard, len(list(found.shards))) == ((1, 1, 256), 2)
    np.testing.assert_array_equal(found.read(found.cells), written)
    # Nothing is kept for where no chunk of the last shard was written.
    assert shard_file(made, (0, 0, 1)).stat().st_size < 64 * DIM * 2 + 4 + 4 * 16 + 5
    with pytest.raises(ConfigError, match="whole chunks of"):
        EmbeddingStore.create(tmp_path / "f", (1, 1, 300), DIM, (1, 1, 256), chunk=(1, 1, 100))
    with pytest.raises(DataError, match="is not the array that belongs there"):
        EmbeddingStore.create(made.path, (1, 1, 300), DIM, (1, 1, 256), chunk=(1, 1, 32))
