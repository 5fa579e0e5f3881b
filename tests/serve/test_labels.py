"""Tests of serve/labels.py."""

import numpy as np
import pytest

from embed.errors import DataError, NotFoundError
from serve.labels import read_labels

HEADER = "x_nm,y_nm,z_nm,label\n"
GOOD = "200,200,300,mito\n"


@pytest.fixture
def written(tmp_path):
    """Writes a label file and returns its path."""

    def write(content, encoding="utf-8"):
        path = tmp_path / "labels.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def test_positions_in_nm_are_read_as_they_are(written):
    table = read_labels(written(HEADER + "1,2,3.5,mito\n-4e2,5,6,axon\n"))

    np.testing.assert_array_equal(table.positions_nm_xyz, [[1, 2, 3.5], [-400, 5, 6]])
    assert table.labels == ("mito", "axon")


def test_columns_may_come_in_any_order_with_authors_and_comments(written):
    content = (
        "\ufefflabel, time,z_nm,author,y_nm,x_nm,comment\r\n"
        '"soma, large",2026,3,"Ramón y Cajal",2,1,"""hm"", he said"\r\n'
        ",,,,,,\r\n"
        "\r\n"
        " axon ,2026,6,Golgi,5, 4 ,\r\n"
    )

    table = read_labels(written(content))

    np.testing.assert_array_equal(table.positions_nm_xyz, [[1, 2, 3], [4, 5, 6]])
    assert table.labels == ("soma, large", "axon")


def test_positions_in_voxels_are_turned_into_nm_by_the_atlas(written, atlas):
    path = written("x_voxel,y_voxel,z_voxel,label\n20.5,30,7,mito\n")

    table = read_labels(path, atlas)

    np.testing.assert_allclose(table.positions_nm_xyz, [[20.5 * 8, 30 * 8, 7 * 30]])


def test_positions_in_voxels_need_an_atlas(written):
    with pytest.raises(DataError, match="need an atlas"):
        read_labels(written("x_voxel,y_voxel,z_voxel,label\n1,2,3,mito\n"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "line 1: no header; it needs x_nm, y_nm, z_nm (or x_voxel, y_voxel, z_voxel) and"),
        ("\n", "line 1: no header"),
        (HEADER, "has no labels"),
        ("x_nm,y_nm,z_nm,label,confidence\n", "line 1: unknown column 'confidence'; it needs x_nm"),
        ("x,y,z,label\n", "line 1: unknown column 'x'; it needs x_nm"),
        ("X_nm,y_nm,z_nm,label\n", "line 1: unknown column 'X_nm'; it needs x_nm"),
        ("x_nm,y_nm,z_nm,label,\n", "line 1: unknown column ''"),
        ("x_nm,y_nm,label\n", "line 1: no column 'z_nm'; it needs"),
        ("x_nm,y_nm,z_nm\n1,2,3\n", "line 1: no column 'label'; it needs"),
        ("x_nm,y_nm,z_nm,x_voxel,label\n", "positions in nm and in voxels"),
        ("x_nm,x_nm,y_nm,z_nm,label\n", "line 1: column 'x_nm' appears more than once"),
        ("x_nm;y_nm;z_nm;label\n", "line 1: unknown column 'x_nm;y_nm;z_nm;label'"),
        (HEADER + GOOD + "1,2,3,\n", "line 3, column label: empty"),
        (HEADER + "1,two,3,mito\n", "line 2, column y_nm: 'two' is not a finite number"),
        (HEADER + "1,2,,mito\n", "line 2, column z_nm: '' is not a finite number"),
        (HEADER + "nan,2,3,mito\n", "line 2, column x_nm: 'nan' is not a finite number"),
        (HEADER + "1,inf,3,mito\n", "line 2, column y_nm: 'inf' is not a finite number"),
        (HEADER + GOOD + "\n1,2,3\n", "line 4: 3 cells where the header names 4 columns"),
        (HEADER + "1,2,3,mito,?\n", "line 2: 5 cells where the header names 4 columns"),
        (HEADER + '1,2,3,"mito\n', "not CSV"),
        (HEADER + "1,2,3,mi\0to\n", "line 2, column label: 'mi\\x00to' is not plain text"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_line_and_column(written, content, words):
    with pytest.raises(DataError) as error:
        read_labels(written(content))

    assert words in str(error.value)
    assert "labels.csv" in str(error.value)


def test_another_encoding_is_refused_with_its_line(written):
    content = (HEADER + GOOD + "1,2,3,Nervenzelle groß\n").encode("latin-1")

    with pytest.raises(DataError, match="line 3: not UTF-8 text; save it as CSV UTF-8"):
        read_labels(written(content))


def test_a_position_outside_the_atlas_is_refused_with_its_line_and_column(written, atlas):
    path = written(HEADER + GOOD + "200,9999,300,axon\n")

    with pytest.raises(DataError) as error:
        read_labels(path, atlas)

    assert "line 3, column y_nm: 9999 nm is outside atlas 'small'" in str(error.value)
    assert "from 68 to 484 nm" in str(error.value)


def test_no_file_and_a_directory_are_refused(tmp_path):
    with pytest.raises(NotFoundError, match="no label file"):
        read_labels(tmp_path / "labels.csv")
    with pytest.raises(DataError, match="directory"):
        read_labels(tmp_path)
