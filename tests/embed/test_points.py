"""Tests of embed/points.py: places answer what a grid answers, in an order of their own."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embed.errors import DataError, NotFoundError, OutOfBoundsError
from embed.geometry import Box, Grid
from embed.points import Points

FOV = (5, 8, 9)
SIZE = (30.0, 6.0, 8.0)

places = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(-500, 500, width=32)
)


def points_at(positions, **rest):
    return Points.at(np.array(positions, np.float64), **{"fov": FOV, "voxel_size_nm": SIZE, **rest})


@given(places)
def test_order_is_a_permutation_that_sources_undo(positions):
    segments = np.arange(len(positions), dtype=np.uint64) + np.uint64(2**63)

    points = points_at(positions, segments=segments)

    assert sorted(points.sources.tolist()) == list(range(len(positions)))
    np.testing.assert_array_equal(points.positions, positions[points.sources.astype(int)])
    np.testing.assert_array_equal(points.segments - np.uint64(2**63), points.sources)


@given(places)
def test_places_in_order_stay_in_order(positions):
    points = points_at(positions)

    again = points_at(points.positions)

    np.testing.assert_array_equal(again.sources, np.arange(points.size))


@given(places)
def test_ids_and_cells_go_there_and_back(positions):
    points = points_at(positions)
    ids = np.arange(points.size)

    cells = points.cells_of(ids)

    np.testing.assert_array_equal(points.ids(cells), ids)
    np.testing.assert_array_equal(points.centres(cells), points.positions)
    assert points.shape == (1, 1, points.size) == points.cells.shape
    assert ((cells >= 0) & (cells < points.shape)).all()


@settings(deadline=None)  # the first example loads scipy
@given(places, hnp.arrays(np.float64, (6, 3), elements=st.floats(-2, 2)))
def test_the_nearest_place_is_the_one_that_brute_force_finds(positions, offsets):
    points = points_at(positions)
    wanted = points.positions[np.arange(6) % points.size] + offsets * [0.2, 2, 2]

    found = points.ids(points.nearest_cells(wanted))

    apart = np.linalg.norm((wanted[:, None] - points.positions[None]) * SIZE, axis=2)
    np.testing.assert_allclose(apart[np.arange(6), found], apart.min(axis=1), atol=1e-9)


@given(places)
def test_offsets_are_counted_from_the_first_place(positions):
    points = points_at(positions)

    offsets = points.offsets(points.cells_of(np.arange(points.size)))

    np.testing.assert_allclose(offsets + points.positions[0], points.positions, atol=1e-9)
    assert not offsets[0].any()


@settings(deadline=None)  # forty boxes take long under a type checker
@given(places)
def test_fields_of_view_are_whole_voxels_around_their_places(positions):
    points = points_at(positions)

    boxes = [points.box(i) for i in range(points.size)]

    starts = np.array([box.start for box in boxes])
    np.testing.assert_array_equal(starts, np.rint(points.positions - np.array(FOV) / 2))
    np.testing.assert_array_equal(points.starts(points.cells_of(np.arange(points.size))), starts)
    assert {box.shape for box in boxes} == {FOV}
    around = points.voxels(points.cells)
    assert all(around.contains(box) for box in boxes)
    assert around.start == tuple(starts.min(axis=0))
    np.testing.assert_array_equal(
        points.inside(Box((-50, -60, -70), (80, 90, 100))),
        [Box((-50, -60, -70), (80, 90, 100)).contains(box) for box in boxes],
    )


def test_places_of_a_grid_have_its_fields_of_view():
    grid = Grid(start=(-3, 4, 0), fov=(33, 32, 8), stride=(8, 3, 5), shape=(3, 4, 2))
    cells = grid.cells_of(np.arange(grid.size))

    points = points_at(grid.centres(cells), fov=grid.fov)

    made = {points.box(i) for i in range(points.size)}
    assert made == {grid.voxels(Box.of_shape((1, 1, 1), tuple(c))) for c in cells.tolist()}


def test_neighbours_in_space_follow_each_other():
    positions = np.random.default_rng(0).uniform(0, 1024, (4000, 3))

    points = points_at(positions)

    def blocks_read(places):
        block = (places // 64).astype(int)
        return 1 + (np.diff(block, axis=0) != 0).any(axis=1).sum()

    assert blocks_read(points.positions) == len(np.unique(positions // 64, axis=0))
    steps = np.linalg.norm(np.diff(points.positions, axis=0), axis=1)
    assert (
        np.median(steps) < 100 < 400 < np.median(np.linalg.norm(np.diff(positions, axis=0), axis=1))
    )


def test_places_wider_apart_than_the_curve_counts_are_ordered_too():
    far = np.array([[0.0, 0, 2.0**45], [0, 0, 0], [0, 0, 2.0**44], [0, 0, 1]])

    points = points_at(far)

    np.testing.assert_array_equal(points.sources, [1, 3, 2, 0])


def test_the_same_place_twice_is_two_places_and_the_first_is_the_nearest():
    points = points_at([[9.0, 9, 9], [9.0, 9, 9], [400.0, 9, 9], [9.0, 9, 9]])

    assert points.size == 4
    assert points.sources.tolist() == [0, 1, 3, 2]
    assert points.ids(points.nearest_cells(np.array([[9.0, 9, 9.5]]))).tolist() == [0]


def test_a_position_far_from_all_places_is_refused_and_the_nearest_told():
    points = points_at([[10.0, 10, 10], [10.0, 300, 10]])

    found = points.nearest_cells(np.array([[12.4, 10.0, 10.0]]))  # 72 of 75 nm
    with pytest.raises(OutOfBoundsError, match=r"within 75 nm .* the nearest is 90 nm away, at \("):
        points.nearest_cells(np.array([[10.0, 10, 10], [13.0, 10.0, 10.0]]))
    with pytest.raises(OutOfBoundsError, match="no point within 75 nm"):
        points.nearest_cells(np.array([[np.nan, 10.0, 10.0]]))

    assert points.ids(found).tolist() == [0]


@pytest.mark.parametrize("bad", [-1, 2])
def test_an_id_that_no_place_has_is_refused(bad):
    points = points_at([[10.0, 10, 10], [10.0, 300, 10]])

    with pytest.raises(OutOfBoundsError, match=f"no location {bad}: ids run from 0 to 1"):
        points.cells_of(np.array([0, bad]))
    with pytest.raises(OutOfBoundsError, match=f"no location {bad}"):
        points.box(bad)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_place_that_is_nowhere_is_refused(bad):
    with pytest.raises(DataError, match="point 1 is at voxel"):
        points_at([[1.0, 2, 3], [1.0, bad, 3]])


def test_no_places_are_refused():
    with pytest.raises(DataError, match="no points"):
        points_at(np.zeros((0, 3)))
    with pytest.raises(DataError, match="no points"):
        points_at([[1.0, 2, 3]]).take(np.array([False]))


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    ids = rng.integers(2**63, 2**64, (2, 50), np.uint64)
    return points_at(rng.uniform(-300, 300, (50, 3)), segments=ids[0], sources=ids[1])


def test_what_is_saved_is_loaded(points, tmp_path):
    points.save(tmp_path / "points.npz")

    loaded = Points.load(tmp_path / "points.npz")

    for field in dataclasses.fields(Points):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(points, field.name))
    assert loaded.digest() == points.digest()


@pytest.mark.parametrize("field", ["positions", "segments", "sources", "fov", "voxel_size_nm"])
def test_the_digest_is_of_everything(points, field):
    old = getattr(points, field)
    value = old + old.dtype.type(1) if isinstance(old, np.ndarray) else (old[1], *old[1:])

    assert dataclasses.replace(points, **{field: value}).digest() != points.digest()


def test_the_same_places_are_saved_as_the_same_bytes(points, tmp_path):
    points.save(tmp_path / "a.npz")
    points.save(tmp_path / "b.npz")

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_damaged_file_is_refused(points, tmp_path):
    path = tmp_path / "points.npz"
    points.save(path)
    content = path.read_bytes()
    at = content.index(points.segments.tobytes())

    for damaged in (content[:-100], b"", b"no zip at all", content[:at] + b"!" + content[at + 1 :]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged"):
            Points.load(path)


def test_a_file_that_was_changed_is_refused(points, tmp_path):
    path = tmp_path / "points.npz"
    points.save(path)
    with np.load(path) as file:
        arrays = dict(file)

    np.savez(path, **{**arrays, "fov": np.array([5, 8, 11])})
    with pytest.raises(DataError, match="checksum"):
        Points.load(path)
    np.savez(path, **{**arrays, "format": np.array(2)})
    with pytest.raises(DataError, match="newer version"):
        Points.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="no points at .*nothing.npz"):
        Points.load(tmp_path / "nothing.npz")
