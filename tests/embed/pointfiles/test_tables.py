"""Tests of the readers of CSV and Parquet, and of what a volume can show of a table."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embed.errors import DataError, MissingExtraError, NotFoundError, OutOfBoundsError
from embed.geometry import Box, Frame
from embed.pointfiles.comma_separated import read_csv
from embed.pointfiles.parquet import read_parquet
from embed.pointfiles.table import PointTable

FRAME = Frame((40.0, 8.0, 4.0), origin_nm=(400.0, 0.0, 0.0))
BIG = 2**53 + 1
"""The first whole number that no float64 holds."""


@pytest.fixture
def csv_file(tmp_path):
    def write(*lines, encoding="utf-8"):
        (tmp_path / "points.csv").write_bytes("\r\n".join(lines).encode(encoding))
        return tmp_path / "points.csv"

    return write


@pytest.fixture
def parquet_file(tmp_path):
    def write(**columns):
        pq.write_table(pa.table(columns), tmp_path / "points.parquet")
        return tmp_path / "points.parquet"

    return write


def test_nanometres_of_a_csv_file_become_voxels(csv_file):
    found = read_csv(csv_file("y_nm,x_nm,z_nm", "80,40,440", " 88.0, 4e1 ,480 "), FRAME)

    np.testing.assert_allclose(found.positions, [[1, 10, 10], [2, 11, 10]])
    assert found.segments.tolist() == [0, 0]
    assert found.sources.tolist() == [0, 1]
    assert found.ignored == ()


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("nm", [1, 0.5, 0.5]), ("um", [1090, 500, 500]), ("voxel", [440, 4, 2])],
)
def test_the_unit_of_plain_columns_is_stated(csv_file, unit, expected):
    found = read_csv(csv_file("x,y,z", "2,4,440" if unit != "um" else "2,4,44"), FRAME, unit)

    np.testing.assert_allclose(found.positions, [expected])
    assert found.unit == unit


def test_columns_may_say_voxel_themselves(csv_file):
    found = read_csv(csv_file("x_voxel,y_voxel,z_voxel", "1.5,2.25,3"), FRAME)

    assert found.positions.tolist() == [[3, 2.25, 1.5]]


@pytest.mark.parametrize("name", ["segment", "segment_id"])
def test_ids_that_no_float_holds_are_read_without_loss(csv_file, name):
    lines = (f"id,x_nm,y_nm,z_nm,{name}", f"{BIG},1,1,1,{2**64 - 1}", f"{2**63 + 1},1,1,1,")

    found = read_csv(csv_file(*lines), FRAME)

    assert found.sources.tolist() == [BIG, 2**63 + 1]
    assert found.segments.tolist() == [2**64 - 1, 0]


def test_other_columns_are_told_and_not_read(csv_file):
    found = read_csv(csv_file("x_nm,y_nm,z_nm,label,segmant", "1,1,1,a soma,?"), FRAME)

    assert found.ignored == ("label", "segmant")


def test_empty_lines_and_a_byte_order_mark_are_no_mistake(csv_file):
    lines = ("x_nm,y_nm,z_nm", "", "1,1,1", ",,", "2,2,2", "")

    assert len(read_csv(csv_file(*lines, encoding="utf-8-sig"), FRAME)) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "is empty: it has no line of column names"),
        (["x_nm,y_nm,z_nm"], "has no points"),
        (["x_nm,y_nm", "1,2"], "no column 'z_nm'; a table of points has the columns x_nm"),
        (["lon,lat", "1,2"], "no column 'x' among lon, lat; a table of points has"),
        (["x,y,z", "1,2,3"], "in which unit are x, y and z. say --unit nm, um or voxel"),
        (["x_nm,y_nm,z_nm,x_voxel", "1,2,3,4"], "positions in nm and in voxels; keep one"),
        (["x_nm,y_nm,z_nm,x_nm", "1,2,3,4"], "column 'x_nm' appears more than once"),
        (["x_nm,y_nm,z_nm,segment,segment_id", "1,2,3,4,5"], "keep one of them"),
        (["x_nm,y_nm,z_nm", "1,2,3", "1,2"], "line 3: 2 cells where the header names 3"),
        (["x_nm,y_nm,z_nm", "", "1,2,nan"], "line 3, column z_nm: 'nan' is not a finite number"),
        (["x_nm,y_nm,z_nm", "1,inf,3"], "line 2, column y_nm: 'inf' is not a finite number"),
        (["x_nm,y_nm,z_nm", "1,2,3", "'1,5',2,3"], "line 3: 4 cells"),
        (["x_nm,y_nm,z_nm", "1,2,3", '"1,5",2,3'], "line 3, column x_nm: '1,5' is not a finite"),
        (["x_nm,y_nm,z_nm", ",2,3"], "line 2, column x_nm: '' is not a finite number"),
        (["x_nm,y_nm,z_nm,segment", "1,2,3,-4"], "column segment: '-4' is no id"),
        (["x_nm,y_nm,z_nm,segment", "1,2,3,1e17"], "column segment: '1e17' is no id"),
        (["x_nm,y_nm,z_nm,segment", f"1,2,3,{2**64}"], f"'{2**64}' is no id"),
        (["x_nm,y_nm,z_nm,id", "1,2,3,"], "line 2, column id: '' is no id"),
        (["x_nm,y_nm,z_nm", '1,"2"3,4'], "line 2: not CSV"),
    ],
)
def test_a_csv_file_that_breaks_a_rule_is_refused_and_the_cell_named(csv_file, lines, message):
    with pytest.raises(DataError, match=message):
        read_csv(csv_file(*lines), FRAME)


def test_a_unit_that_contradicts_the_columns_is_refused(csv_file):
    with pytest.raises(DataError, match="x_nm, y_nm, z_nm are in nm, not in voxel"):
        read_csv(csv_file("x_nm,y_nm,z_nm", "1,2,3"), FRAME, "voxel")


def test_a_file_that_is_missing_or_no_text_is_refused(csv_file, tmp_path):
    path = csv_file("x_nm,y_nm,z_nm", "1,2,\xe9", encoding="latin-1")

    with pytest.raises(DataError, match="line 2: not UTF-8 text"):
        read_csv(path, FRAME)
    with pytest.raises(NotFoundError, match="no file of points at"):
        read_csv(tmp_path / "none.csv", FRAME)
    with pytest.raises(DataError, match="cannot read points from"):
        read_csv(tmp_path, FRAME)


def test_a_parquet_file_reads_as_its_csv(parquet_file, csv_file):
    path = parquet_file(
        x_nm=[1.5, 2.5],
        y_nm=pa.array([3, 4], pa.int16()),
        z_nm=pa.array([440.0, 480.0], pa.float32()),
        note=["a", None],
        segment_id=pa.array([2**64 - 1, BIG], pa.uint64()),
        id=pa.array([BIG, 7], pa.int64()),
    )
    lines = ("x_nm,y_nm,z_nm,note,segment_id,id", f"1.5,3,440,a,{2**64 - 1},{BIG}")

    found = read_parquet(path, FRAME)

    expected = read_csv(csv_file(*lines, f"2.5,4,480,,{BIG},7"), FRAME)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.segments, expected.segments)
    np.testing.assert_array_equal(found.sources, expected.sources)
    assert found.ignored == ("note",)


@pytest.mark.parametrize(
    "segments",
    [
        pa.array([BIG, None], pa.uint64()),
        pa.array([BIG, None], pa.int64()),
        pa.array([str(BIG), None]),
        pa.array([str(BIG), ""]),
        pa.array([str(BIG), "0"], pa.large_string()),
    ],
)
def test_segments_of_parquet_lose_nothing_where_one_is_absent_or_all_are_text(
    parquet_file, segments
):
    found = read_parquet(
        parquet_file(x=[1, 1], y=[1, 1], z=[1, 1], segment=segments), FRAME, "voxel"
    )

    assert found.segments.tolist() == [BIG, 0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"z_nm": [1.0, None]}, "row 1, column z_nm: 'nan' is not a finite number"),
        ({"z_nm": ["1", "2"]}, "column z_nm: string is no number"),
        ({"segment": [1.0, 2.0]}, "column segment: double loses digits of an id; write it as uint"),
        ({"segment": [1, -2]}, "row 1, column segment: '-2' is no id"),
        ({"segment": ["1", "two"]}, "row 1, column segment: 'two' is no id"),
        ({"id": [1, None]}, "row 1, column id: '' is no id"),
    ],
)
def test_a_parquet_file_that_breaks_a_rule_is_refused_and_the_cell_named(
    parquet_file, columns, message
):
    path = parquet_file(**{"x_nm": [1, 2], "y_nm": [1, 2], "z_nm": [1, 2], **columns})

    with pytest.raises(DataError, match=message):
        read_parquet(path, FRAME)


def test_a_parquet_file_without_rows_or_that_is_none_is_refused(parquet_file, tmp_path):
    with pytest.raises(DataError, match="has no points"):
        read_parquet(parquet_file(x_nm=pa.array([], pa.int8()), y_nm=[], z_nm=[]), FRAME)
    (tmp_path / "points.parquet").write_bytes(b"x_nm,y_nm,z_nm\n1,2,3\n")
    with pytest.raises(DataError, match="cannot read points from"):
        read_parquet(tmp_path / "points.parquet", FRAME)
    with pytest.raises(NotFoundError, match="no file of points"):
        read_parquet(tmp_path / "none.parquet", FRAME)


def test_without_pyarrow_the_extra_is_named(parquet_file, monkeypatch):
    path = parquet_file(x_nm=[1], y_nm=[1], z_nm=[1])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(MissingExtraError, match=r"voxkin\[parquet\]"):
        read_parquet(path, FRAME)


VOLUME = Box((-10, 0, 0), (90, 200, 400))
FOV = (5, 8, 9)


def a_table(positions, frame=FRAME, unit="nm"):
    count = len(positions)
    ids = np.arange(count, dtype=np.uint64)
    return PointTable("cells.csv", frame, np.array(positions, float), ids + 1, ids + 70, unit)


def test_places_that_fit_keep_their_segments_and_sources():
    table = a_table([[80.0, 100, 100], [-7.5, 4, 4.5], [87.5, 196, 395.5]])

    points, left_out = table.within(VOLUME, FOV)

    assert left_out == 0
    assert points.fov == FOV
    assert points.voxel_size_nm == FRAME.voxel_size_nm
    by_source = dict(zip(points.sources.tolist(), points.positions.tolist(), strict=True))
    assert by_source == {70: [80, 100, 100], 71: [-7.5, 4, 4.5], 72: [87.5, 196, 395.5]}
    assert (points.segments + 69 == points.sources).all()


def test_places_outside_are_refused_counted_and_the_first_named():
    table = a_table([[80.0, 100, 100], [88.1, 100, 100], [500, 100, 100], [80, 100, 100]])

    with pytest.raises(OutOfBoundsError) as error:
        table.within(VOLUME, FOV)

    message = str(error.value)
    assert "2 of the 4 points of cells.csv are outside the volume or too near its edge" in message
    assert "field of view of 9 x 8 x 5 voxels (XYZ)" in message
    assert "the first is number 71, at (400, 800, 3924) nm (XYZ), voxel (100, 100, 88.1)" in message
    assert "from (18, 32, 100) to (1582, 1568, 3900) nm" in message
    assert "--skip-outside" in message


def test_places_outside_are_skipped_and_counted():
    table = a_table([[80.0, 100, 100], [88.1, 100, 100], [-8.1, 100, 100], [1, 100, 100]])

    points, left_out = table.within(VOLUME, FOV, "skip")

    assert left_out == 2
    assert set(points.sources.tolist()) == {70, 73}


@pytest.mark.parametrize(
    ("numbers", "unit", "guess"),
    [
        ([[380, 150, 50], [20, 9, 9]], "nm", "its numbers are voxels, 2 of them fit"),
        ([[1.5, 1.2, 3.0]], "nm", "its numbers are micrometres, 1 of them fit"),
        ([[1500, 1200, 3000], [15000, 5, 5]], "voxel", "its numbers are nanometres, 1 of them fit"),
        ([[3000, 1200, 1500]], "nm", "its x is z and its z is x, 1 of them fit"),
    ],
)
def test_where_none_fits_what_could_be_meant_is_said(csv_file, numbers, unit, guess):
    rows = [",".join(map(str, row)) for row in numbers]
    table = read_csv(csv_file("x,y,z", *rows), FRAME, unit)

    for outside in ("refuse", "skip"):
        with pytest.raises(OutOfBoundsError, match=guess):
            table.within(VOLUME, FOV, outside)


def test_where_some_fit_but_more_would_that_is_said_too():
    table = a_table([[380.0, 150, 50], [20, 20, 20], [1e6, 1e6, 1e6]], unit="voxel")

    with pytest.raises(OutOfBoundsError, match="its x is z and its z is x, 2 of them fit; leave"):
        table.within(VOLUME, FOV)


def test_where_nothing_could_be_meant_nothing_is_guessed():
    with pytest.raises(OutOfBoundsError, match=r"to \(1582, 1568, 3900\) nm$"):
        a_table([[1e9, 1e9, 1e9]]).within(VOLUME, FOV)


def test_a_volume_smaller_than_the_field_of_view_has_room_for_none():
    with pytest.raises(OutOfBoundsError, match="has 400 x 200 x 4 voxels .* field of view 9 x 8 x"):
        a_table([[2.0, 100, 100]]).within(Box((0, 0, 0), (4, 200, 400)), FOV)
