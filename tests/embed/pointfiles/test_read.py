"""Tests of embed/pointfiles/read.py: a source is read as what it is."""

import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embed.errors import ConfigError, DataError, NotFoundError
from embed.geometry import Frame
from embed.pointfiles.read import read_points
from tests.precomputed import write_skeletons

FRAME = Frame((40.0, 8.0, 4.0), origin_nm=(400.0, 0.0, 0.0))
NODES = np.array([[40.0, 80, 440], [40, 80, 480], [40, 80, 520], [440, 80, 440]])
VOXELS = [[1, 10, 10], [2, 10, 10], [3, 10, 10], [1, 10, 110]]


def table_of(path):
    return "x,y,z\n" + "\n".join("{},{},{}".format(*node) for node in NODES)


def write_swc(path):
    rows = (f"{i + 5} 0 {x} {y} {z} 1 -1" for i, (x, y, z) in enumerate(NODES))
    path.write_text("\n".join(rows))


def write_annotations(folder, relationships=("body",)):
    """Points that are related to bodies 100, 101, and so on by all relationships but the last."""
    count = len(NODES)
    records = [struct.pack("<3f", *node) for node in NODES]
    ids = [struct.pack("<Q", 2**63 + i) for i in range(count)]
    related = [
        struct.pack("<IQ", 1, 100 + i) * (len(relationships) - 1) + struct.pack("<IQ", 1, i)
        for i in range(count)
    ]
    folder.info(
        {
            "@type": "neuroglancer_annotations_v1",
            "annotation_type": "POINT",
            "dimensions": {axis: [1, "nm"] for axis in "xyz"},
            "relationships": [{"id": name, "key": name} for name in relationships],
            "by_id": {"key": "by_id"},
            "spatial": [{"key": "all", "grid_shape": [1, 1, 1]}],
        }
    )
    folder.write("all", {"0_0_0": struct.pack("<Q", count) + b"".join(records + ids)})
    folder.write(
        "by_id", {2**63 + i: records[i] + related[i] * bool(relationships) for i in range(count)}
    )


def test_a_csv_or_parquet_file_is_a_table(tmp_path):
    (tmp_path / "points.CSV").write_text(table_of(tmp_path))
    pq.write_table(pa.table(dict(zip("xyz", NODES.T, strict=True))), tmp_path / "points.pq")

    for name in ("points.CSV", "points.pq"):
        found = read_points(str(tmp_path / name), FRAME, unit="nm")
        np.testing.assert_allclose(found.positions, VOXELS)


@pytest.mark.parametrize(
    ("unit", "spacing", "sources"),
    [(None, None, [5, 6, 7, 8]), ("nm", 80.0, [5, 7, 8]), ("nm", 401.0, [5]), ("um", 1e5, [5, 8])],
)
def test_an_swc_file_and_a_folder_of_them_are_skeletons(tmp_path, unit, spacing, sources):
    write_swc(tmp_path / "77.swc")

    for path in (tmp_path / "77.swc", tmp_path):
        found = read_points(path, FRAME, unit=unit, spacing_nm=spacing)
        assert found.sources.tolist() == sources
        assert set(found.segments.tolist()) == {77}
    if unit != "um":
        rows = [node - 5 for node in sources]
        np.testing.assert_allclose(found.positions, np.array(VOXELS)[rows])


def test_the_spacing_of_nodes_in_voxels_is_in_nm_all_the_same(tmp_path):
    write_swc(tmp_path / "77.swc")  # neighbours are 40 voxels of 40 nm apart, or 400 of 4

    found = read_points(tmp_path / "77.swc", FRAME, unit="voxel", spacing_nm=1600.0)
    fewer = read_points(tmp_path / "77.swc", FRAME, unit="voxel", spacing_nm=1601.0)

    assert (found.sources.tolist(), fewer.sources.tolist()) == ([5, 6, 7, 8], [5, 7])


def test_precomputed_skeletons_are_read_with_their_segments(folder):
    write_skeletons(folder, {2**64 - 2: NODES, 4: NODES[:2]})

    found = read_points(f"precomputed://{folder.path}", FRAME, spacing_nm=80.0)
    some = read_points(folder.path, FRAME, segments=[4])

    assert found.segments.tolist() == [4, *[2**64 - 2] * 3]
    assert found.sources.tolist() == [0, 0, 2, 3]
    np.testing.assert_allclose(found.positions[1:], np.array(VOXELS)[[0, 2, 3]])
    assert some.segments.tolist() == [4, 4]


def test_the_skeletons_of_a_segmentation_are_read(plain):
    plain.info({"@type": "neuroglancer_multiscale_volume", "skeletons": "thin", "scales": []})
    write_skeletons(type(plain)(plain.path / "thin", "plain"), {4: NODES})

    assert len(read_points(plain.path / "info", FRAME)) == 4


def test_annotations_are_read_with_the_segment_that_they_are_related_to(plain):
    write_annotations(plain)

    found = read_points(plain.path, FRAME)

    np.testing.assert_allclose(found.positions, VOXELS)
    assert found.sources.tolist() == [2**63 + i for i in range(4)]
    assert found.segments.tolist() == [0, 1, 2, 3]


def test_of_several_relationships_one_is_named(plain):
    write_annotations(plain, ("pre", "post"))

    assert read_points(plain.path, FRAME, relationship="pre").segments.tolist()[0] == 100
    assert read_points(plain.path, FRAME, relationship="post").segments.tolist()[3] == 3
    assert not read_points(plain.path, FRAME).segments.any()
    with pytest.raises(NotFoundError, match="no relationship 'body' in .*; it has pre, post"):
        read_points(plain.path, FRAME, relationship="body")


def test_annotations_over_http_are_read(plain, serve):
    write_annotations(plain, ())

    found = read_points(serve(plain.path), FRAME)

    np.testing.assert_allclose(found.positions, VOXELS)


def test_what_says_nothing_of_a_source_is_refused(plain, tmp_path):
    (tmp_path / "points.csv").write_text(table_of(tmp_path))
    write_swc(tmp_path / "77.swc")
    write_annotations(plain)

    for name, said, source in (
        ("--spacing", {"spacing_nm": 10.0}, tmp_path / "points.csv"),
        ("--segments", {"segments": [4]}, tmp_path / "77.swc"),
        ("--unit", {"unit": "nm"}, plain.path),
    ):
        with pytest.raises(ConfigError, match=f"{name} says nothing of .* such as .*; leave it"):
            read_points(source, FRAME, **said)


def test_what_holds_no_points_is_refused(plain, tmp_path, serve):
    plain.info({"@type": "neuroglancer_multiscale_volume", "scales": []})
    (tmp_path / "points.txt").write_text("1 2 3")
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match=r"holds no points \(neuroglancer_multiscale_volume\);"):
        read_points(plain.path, FRAME)
    with pytest.raises(DataError, match=r"holds no points \(.txt\); they are read from a CSV"):
        read_points(tmp_path / "points.txt", FRAME)
    with pytest.raises(DataError, match=r"holds no points \(no info\)"):
        read_points(tmp_path / "empty", FRAME)
    with pytest.raises(NotFoundError, match="no points at .*nothing.csv; they are read from"):
        read_points(tmp_path / "nothing.csv", FRAME)
    with pytest.raises(NotFoundError, match="no points at http.*: there is no file info"):
        read_points(serve(tmp_path / "empty"), FRAME)


def test_skeletons_without_nodes_are_no_points(tmp_path):
    (tmp_path / "3.swc").write_text("# nothing\n")

    with pytest.raises(DataError, match="has no points"):
        read_points(tmp_path, FRAME, spacing_nm=10.0)
