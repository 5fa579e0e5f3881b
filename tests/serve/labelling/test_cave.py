"""Tests of serve/labelling/cave.py."""

import pytest

from embed.errors import DataError
from serve.labelling.cave import COLUMNS, read_cave, write_cave
from serve.labelling.label import Place

PLACES = (
    Place((260.0, 260.5, 435.0), "soma, large", "ana", "2026-01-31T12:00:00+00:00", 2**63 + 1),
    Place((-8.0, 0.0, 40.0), "<script>"),
)


def table(*rows, header="pt_position,cell_type"):
    return "\n".join((header, *rows)).encode()


def read(*rows, header="pt_position,cell_type", resolution=(4.0, 4.0, 40.0), system=None):
    return read_cave(table(*rows, header=header), "cells.csv", resolution, system)


def without_lines(file):
    return tuple(
        Place(p.position_nm_xyz, p.label, p.author, p.time, p.segment) for p in file.places
    )


@pytest.mark.parametrize("resolution", [(1.0, 1.0, 1.0), (4.0, 4.0, 40.0), (8.0, 8.0, 33.0)])
def test_what_is_written_is_read_without_saying_more(resolution):
    content = write_cave(PLACES, "structures", resolution)

    again = read_cave(content, "cells.csv")

    for found, written in zip(without_lines(again), PLACES, strict=True):
        assert found.position_nm_xyz == pytest.approx(written.position_nm_xyz)
        assert found == Place(found.position_nm_xyz, *list(vars(written).values())[1:5])
    assert content.decode().splitlines()[0] == ",".join(COLUMNS)


def test_positions_are_in_voxels_of_the_resolution():
    written = write_cave(PLACES[:1], "structures", (4.0, 4.0, 40.0)).decode()

    assert '"[65, 65.125, 10.875]"' in written
    assert ',9223372036854775809,ana,"[4, 4, 40]"' in written


@pytest.mark.parametrize(
    "cell",
    ['"[65, 65, 10]"', "[65 65 10]", "[ 65  65  10]", '"65, 65, 10"', '"(65.0, 65.0, 1e1)"'],
)
def test_positions_are_read_as_lists_and_arrays_are_printed(cell):
    (place,) = read(f"{cell},soma").places

    assert place.position_nm_xyz == (260.0, 260.0, 400.0)


def test_split_positions_and_all_that_caveclient_gives_are_read():
    file = read(
        "0,7,2023-04-05 21:11:32.870268+00:00,True,,12,864691135000000001,cortex,BC,65,65,10",
        "1,8,2023-04-05 21:11:32,t,,12,0,cortex,PyC,1,2,3",
        header=",id,created,valid,superceded_id,pt_supervoxel_id,pt_root_id,"
        "classification_system,cell_type,pt_position_x,pt_position_y,pt_position_z",
    )

    first, second = file.places
    assert first == Place(
        (260.0, 260.0, 400.0), "BC", "", "2023-04-05T21:11:32+00:00", 864691135000000001, 2
    )
    assert (second.position_nm_xyz, second.segment, second.time) == (
        (4.0, 8.0, 120.0),
        0,
        "2023-04-05T21:11:32+00:00",
    )


def test_rows_that_are_not_valid_or_have_no_type_are_left_out_and_told():
    file = read(
        "[1 2 3],BC,f",
        "[1 2 3],,t",
        "[1 2 3],PyC,t",
        header="pt_position,cell_type,valid",
    )

    assert [p.label for p in file.places] == ["PyC"]
    assert [(row.line, row.why) for row in file.skipped] == [
        (2, "it is not valid"),
        (3, "it has no cell_type"),
    ]


def test_of_several_classification_systems_one_is_taken_by_name():
    rows = ("[1 2 3],BC,coarse", "[1 2 3],L2a,fine")
    header = "pt_position,cell_type,classification_system"

    file = read(*rows, header=header, system="fine")

    assert [p.label for p in file.places] == ["L2a"]
    assert [row.why for row in file.skipped] == ["it is of classification system 'coarse'"]
    with pytest.raises(DataError, match=r"2 classification systems \(coarse, fine\)"):
        read(*rows, header=header, system="mine")
    assert len(read(rows[0], header=header, system="mine").places) == 1


@pytest.mark.parametrize(
    ("content", "resolution", "words"),
    [
        (b"", None, "line 1: a CAVE table has the columns pt_position"),
        (table("1,2", header="pt_position,label"), None, "cell_type; this has pt_position, label"),
        (table("[1 2 3],a"), None, "in which voxels are its positions"),
        (table("[1 2],a"), (1, 1, 1), "line 2, column pt_position: '[1 2]' is not three numbers"),
        (table("[1 2 nan],a"), (1, 1, 1), "is not three numbers"),
        (table("[1 2 1e999],a"), (1, 1, 1), "is not three numbers"),
        (table("[1 2 3],a,b"), (1, 1, 1), "line 2: 3 cells where the header names 2 columns"),
        (table('[1 2 3],"a'), (1, 1, 1), "not CSV"),
        (
            table("[1 2 3],=1+1"),
            (1, 1, 1),
            "line 2: the name of a class may not begin as a formula",
        ),
        (table("[1 2 3],a\0"), (1, 1, 1), "line 2: the name of a class is 1 to 100 printable"),
        (
            table("[1 2 3],a,1.5e17", header="pt_position,cell_type,pt_root_id"),
            (1, 1, 1),
            "'1.5e17' is no segment id",
        ),
        (
            table("[1 2 3],a,maybe", header="pt_position,cell_type,valid"),
            (1, 1, 1),
            "'maybe' is neither t nor f",
        ),
        (
            table("[1 2 3],a,yesterday", header="pt_position,cell_type,created"),
            (1, 1, 1),
            "'yesterday' is no time in ISO 8601",
        ),
        (
            table("[1 2 3],a,[8 8 40]", header="pt_position,cell_type,voxel_resolution"),
            (4, 4, 40),
            "[8, 8, 40]",
        ),
        (
            table("[1 2 3],a,[0 8 40]", header="pt_position,cell_type,voxel_resolution"),
            None,
            "three lengths above 0",
        ),
        (table(header="cell_type,cell_type,pt_position"), None, "appears more than once"),
        ("pt_position,cell_type\n[1 2 3],groß".encode("latin-1"), (1, 1, 1), "not UTF-8"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_line(content, resolution, words):
    with pytest.raises(DataError) as error:
        read_cave(content, "cells.csv", resolution)

    assert words in str(error.value)
    assert "cells.csv" in str(error.value)
