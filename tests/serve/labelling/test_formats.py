"""Tests of serve/labelling/formats.py: one table of labels through every format and back."""

import collections
import dataclasses
import io
import zipfile

import pytest

from embed.errors import ConfigError, DataError, NotFoundError
from serve.labelling.classes import with_more
from serve.labelling.formats import FORMATS, format_of, read_file, save, written, zipped
from serve.labelling.label import Place

PLACES = (
    Place((260.0, 260.5, 435.0), "soma, large", "ana", "2026-01-31T12:00:00+00:00", 2**63 + 1),
    Place((3150944.0, 616352.0, 72303.0), "<script>", "Ramón y Cajal"),
    Place((-8.0, 0.0, 40.0), "-", "", "2026-01-31T12:00:00+00:00", 7),
)


@pytest.fixture(scope="module")
def h01(shared):
    """The labels of the points of H01."""
    return read_file(str(shared / "fixtures" / "h01_annotations"), "precomputed")


def convert(places, format, out):
    classes = with_more((), (place.label for place in places))
    save(written(places, format, classes=classes, system="structures"), out)
    return read_file(str(out), format_of(str(out)))


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_written_is_known_for_what_it_is_and_read(tmp_path, format):
    file = convert(PLACES, format, tmp_path / "labels.csv")

    assert tuple(dataclasses.replace(place, line=0) for place in file.places) == PLACES
    assert file.skipped == ()


@pytest.mark.parametrize("format", FORMATS)
def test_the_points_of_h01_pass_whole(h01, tmp_path, format):
    counts = collections.Counter(place.label for place in h01.places)

    file = convert(h01.places, format, tmp_path / "labels.csv")

    assert len(file.places) == 10_043
    assert counts == collections.Counter(place.label for place in file.places)
    # Two pairs of the numbers that stand for classes there have one name each.
    assert counts["axon"] == 7280
    assert counts["myelinated axon"] + counts["myelinated fragment"] == 955
    assert {p.position_nm_xyz for p in file.places} == {p.position_nm_xyz for p in h01.places}


def test_a_column_for_segments_is_there_where_any_is_known():
    def header(places):
        return written(places, "csv", classes=(), system="s").split(b"\r\n")[0]

    assert header(PLACES) == b"x_nm,y_nm,z_nm,label,author,time,segment"
    assert header(PLACES[1:2]) == b"x_nm,y_nm,z_nm,label,author,time"


def test_a_zip_holds_the_folder():
    files = written(
        PLACES, "precomputed", classes=with_more((), ("soma, large", "<script>", "-")), system="s"
    )

    archive = zipfile.ZipFile(io.BytesIO(zipped(files, "structures")))

    assert archive.testzip() is None
    assert "structures/info" in archive.namelist()
    assert "structures/spatial0/0_0_0" in archive.namelist()


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "mine").write_text("precious")

    with pytest.raises(ConfigError, match="exists; choose a new --out"):
        save(b"labels", tmp_path / "mine")

    assert (tmp_path / "mine").read_text() == "precious"


def test_flags_of_other_formats_and_missing_files_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x_nm,y_nm,z_nm,label\n1,2,3,a\n")

    with pytest.raises(ConfigError, match="--resolution says nothing of csv"):
        read_file(str(tmp_path / "a.csv"), "csv", resolution_nm=(1.0, 1.0, 1.0))
    with pytest.raises(ConfigError, match="--property says nothing of cave"):
        read_file(str(tmp_path / "a.csv"), "cave", property="class")
    with pytest.raises(NotFoundError, match="no label file at"):
        format_of(str(tmp_path / "b.csv"))


def test_the_class_of_annotations_is_the_property_that_was_named(tmp_path):
    convert(PLACES[:2], "precomputed", tmp_path / "layer")

    by_author = read_file(str(tmp_path / "layer"), "precomputed", property="author")

    assert [place.label for place in by_author.places] == ["ana", "Ramón y Cajal"]


def test_a_property_that_is_not_there_is_refused_and_those_that_are_named(tmp_path):
    convert(PLACES, "precomputed", tmp_path / "layer")

    with pytest.raises(DataError, match="no property 'class' of .*; it has label, color, author"):
        read_file(str(tmp_path / "layer"), "precomputed", property="class")


def test_times_and_authors_of_a_csv_file_are_read_or_refused_with_their_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x_nm,y_nm,z_nm,label,time\n1,2,3,a,2026-01-31T13:00:00+01:00\n")
    assert read_file(str(path), "csv").places[0].time == "2026-01-31T12:00:00+00:00"

    path.write_text("x_nm,y_nm,z_nm,label,time\n1,2,3,a,soon\n")
    with pytest.raises(DataError, match="a.csv, line 2: 'soon' is no time in ISO 8601"):
        read_file(str(path), "csv")
