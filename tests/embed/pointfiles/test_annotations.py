"""Tests of embed/pointfiles/annotations.py and the format below: own files, and those of H01."""

import struct

import numpy as np
import pytest

from embed.errors import DataError, NotFoundError
from embed.pointfiles.annotations import read_annotations
from tests.precomputed import Folder

PROPERTIES = [
    {"id": "colour", "type": "rgb"},
    {"id": "score", "type": "float32"},
    {
        "id": "kind",
        "type": "uint8",
        "enum_values": [0, 3, 7],
        "enum_labels": ["axon", "soma", "axon"],
    },
    {"id": "level", "type": "int16"},
]
"""The widest are stored first, whatever the order here: score, level, colour, kind."""


def record(i):
    stored = struct.pack("<3f", 10 * i, 20 * i + 0.5, 30 * i)
    stored += (
        struct.pack("<fh", i / 2, -i) + bytes([i, 2 * i, 3 * i]) + bytes([(0, 3, 7, 9)[i % 4]])
    )
    return stored + bytes(-len(stored) % 4)


def annotation_id(i):
    return 2**63 + 1 if i == 2 else 100 - i


def bodies(i):
    return [2**64 - 1 - i, 5][: i % 3]


def write(folder, count=12, by_id=True, **info):
    """`count` points in two levels; the sixth is in two cells, as one on their border may be."""

    def many(some):
        stored = struct.pack("<Q", len(some)) + b"".join(map(record, some))
        return stored + b"".join(struct.pack("<Q", annotation_id(i)) for i in some)

    def one(i):
        ids = bodies(i)
        return record(i) + struct.pack(f"<I{len(ids)}Q", len(ids), *ids) + struct.pack("<I", 0)

    levels = [("spatial0", [1, 1, 1]), ("spatial1", [2, 1, 2])]
    folder.info(
        {
            "@type": "neuroglancer_annotations_v1",
            "annotation_type": "point",
            "dimensions": {"z": [3e-8, "m"], "y": [4, "nm"], "x": [0.005, "um"]},
            "properties": PROPERTIES,
            "relationships": [
                {"id": "body", "key": "body", **folder.sharding},
                {"id": "other", "key": "other", **folder.sharding},
            ],
            "by_id": {"key": "./by_id", **folder.sharding},
            "spatial": [
                {"key": key, "grid_shape": shape, **folder.sharding} for key, shape in levels
            ],
            **info,
        }
    )
    names = (0, 1, 3) if folder.how == "sharded" else ("0_0_0", "1_0_0", "1_0_1")
    some = list(range(count))
    folder.write("spatial0", {names[0]: many(some[:5])})
    folder.write("spatial1", {names[1]: many(some[5:9]), names[2]: many([*some[5:6], *some[9:]])})
    if by_id:
        folder.write("by_id", {annotation_id(i): one(i) for i in some})
    folder.write("body", {5: many([i for i in some if 5 in bodies(i)])})


def test_everything_that_was_written_is_read(folder):
    write(folder)

    found = read_annotations(folder.path)

    order = sorted(range(12), key=annotation_id)
    i = np.array(order)
    assert found.ids.tolist() == [annotation_id(n) for n in order]
    np.testing.assert_allclose(
        found.positions_nm_xyz, np.stack([30 * i * 5, (20 * i + 0.5) * 4, 10 * i * 30], axis=1)
    )
    assert list(found.properties) == ["colour", "score", "kind", "level"]
    np.testing.assert_array_equal(found.properties["score"].values, i / 2)
    np.testing.assert_array_equal(found.properties["level"].values, -i)
    np.testing.assert_array_equal(
        found.properties["colour"].values, np.stack([i, 2 * i, 3 * i], axis=1)
    )
    kinds = ("axon", "soma", "axon", "9")
    assert found.properties["kind"].labels() == [kinds[n % 4] for n in order]
    assert [found.relationships["body"].of(n).tolist() for n in range(12)] == [
        bodies(n) for n in order
    ]
    assert found.relationships["body"].firsts().tolist() == [(*bodies(n), 0)[0] for n in order]
    assert not found.relationships["other"].firsts().any()
    assert found.indexed.all()


def test_some_are_found_by_their_ids(folder):
    write(folder)

    found = read_annotations(folder.path, ids=[2**63 + 1, 99, 99])

    assert found.ids.tolist() == [99, 2**63 + 1]
    np.testing.assert_array_equal(found.properties["score"].values, [0.5, 1])
    assert found.relationships["body"].of(1).tolist() == bodies(2)
    with pytest.raises(NotFoundError, match="no annotation 7 in"):
        read_annotations(folder.path, ids=[99, 7])


def test_those_of_an_object_are_found(folder):
    write(folder)

    found = read_annotations(folder.path, related=("body", 5))

    assert set(found.ids.tolist()) == {annotation_id(i) for i in (2, 5, 8, 11)}
    assert len(read_annotations(folder.path, related=("body", 6))) == 0
    with pytest.raises(NotFoundError, match="no relationship 'bodies' .* it has body, other"):
        read_annotations(folder.path, related=("bodies", 5))


def test_what_the_index_by_id_lacks_has_no_known_relationships(folder):
    write(folder, by_id=False)

    found = read_annotations(folder.path)

    assert len(found) == 12
    assert not found.indexed.any()
    assert not found.relationships["body"].firsts().any()


def test_relationships_need_not_be_looked_up(folder):
    write(folder)

    found = read_annotations(folder.path, relationships=False)

    assert len(found) == 12
    assert not found.relationships


def test_a_collection_without_properties_relationships_or_points_is_empty(plain):
    dimensions = {axis: [1, "nm"] for axis in "xyz"}
    plain.info(
        {
            "@type": "neuroglancer_annotations_v1",
            "annotation_type": "POINT",
            "dimensions": dimensions,
            "spatial": [{"key": "nowhere", "grid_shape": [1, 1, 1]}],
        }
    )

    found = read_annotations(plain.path)

    assert (len(found), found.positions_nm_xyz.shape) == (0, (0, 3))


def test_a_server_that_cannot_list_is_asked_for_every_cell(plain, serve):
    write(plain)

    found = read_annotations(f"precomputed://{serve(plain.path)}")

    here = read_annotations(plain.path)
    np.testing.assert_array_equal(found.ids, here.ids)
    np.testing.assert_array_equal(found.positions_nm_xyz, here.positions_nm_xyz)
    np.testing.assert_array_equal(
        found.relationships["body"].firsts(), here.relationships["body"].firsts()
    )


def test_a_server_that_cannot_list_is_not_asked_for_millions_of_cells(plain, serve):
    write(plain, spatial=[{"key": "spatial0", "grid_shape": [512, 256, 16]}])

    with pytest.raises(DataError, match="may have 2097152 files and its server does not list"):
        read_annotations(serve(plain.path))


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"@type": "neuroglancer_skeletons"}, "holds no annotations: its info is 'neurog"),
        ({"annotation_type": "LINE"}, "annotations of type LINE; only POINT"),
        ({"dimensions": {"x": [1, "nm"], "t": [1, "s"]}}, "has dimensions x, t; x, y and z can"),
        ({"dimensions": {a: [1, "s"] for a in "xyz"}}, "the unit of x is 's', no length"),
        ({"dimensions": {a: [1, ""] for a in "xyz"}}, "the unit of x is '', no length"),
        ({"dimensions": None}, "breaks the format"),
        ({"properties": [{"id": "a", "type": "uint64"}]}, "'a' is of unknown type 'uint64'"),
        ({"properties": [{"type": "uint8"}]}, "breaks the format"),
    ],
)
def test_what_is_no_collection_of_points_is_refused(plain, info, message):
    write(plain, **info)

    with pytest.raises(DataError, match=message):
        read_annotations(plain.path)


@pytest.mark.parametrize("keep", [0, 4, 40, -1, -9])
def test_a_truncated_cell_is_refused_and_named(plain, keep):
    write(plain)
    cell = plain.path / "spatial1" / "1_0_0"
    cell.write_bytes(cell.read_bytes()[:keep])

    with pytest.raises(DataError, match="spatial1/1_0_0 is damaged"):
        read_annotations(plain.path)


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: c[:20], lambda c: c + b"\0"])
def test_a_damaged_annotation_is_refused_and_named(plain, change):
    write(plain)
    one = plain.path / "by_id" / str(2**63 + 1)
    one.write_bytes(change(one.read_bytes()))

    with pytest.raises(DataError, match="by_id/9223372036854775809 is damaged"):
        read_annotations(plain.path)


def test_a_damaged_shard_is_refused(tmp_path):
    folder = Folder(tmp_path / "made", "sharded")
    write(folder)
    for shard in (folder.path / "spatial0").glob("*.shard"):
        shard.write_bytes(shard.read_bytes()[:-20])

    with pytest.raises(DataError, match=r"cannot (read|list) .*spatial0"):
        read_annotations(folder.path)


def test_a_folder_without_info_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="there is no file info"):
        read_annotations(tmp_path)


@pytest.fixture
def h01(shared):
    return shared / "fixtures" / "h01_annotations"


@pytest.fixture
def decoded(h01):
    with np.load(h01 / "decoded.npz") as file:
        order = np.argsort(file["ids"])
        return {name: file[name][order] for name in file}


def test_points_of_h01_are_read_whole(h01, decoded):
    found = read_annotations(h01)

    assert len(found) == 10_043
    np.testing.assert_array_equal(found.ids, decoded["ids"])
    np.testing.assert_array_equal(found.positions_nm_xyz, decoded["xyz_nm"])
    np.testing.assert_array_equal(found.properties["class_label"].values, decoded["cls"])


def test_labels_of_h01_that_several_values_share_are_read(h01, decoded):
    labels = np.array(read_annotations(h01).properties["class_label"].labels())

    assert (labels == "axon").sum() == 7280
    assert (labels == "dendrite").sum() == 1003
    np.testing.assert_array_equal(
        labels == "myelinated axon", np.isin(decoded["cls"], [1000, 1001])
    )
    np.testing.assert_array_equal(
        labels == "myelinated fragment", np.isin(decoded["cls"], [1002, 1003])
    )


def test_a_point_of_h01_knows_its_skeleton(h01):
    found = read_annotations(h01, ids=[3867588737])

    np.testing.assert_array_equal(found.positions_nm_xyz, [[1937760, 1318752, 96921]])
    assert found.properties["class_label"].labels() == ["dendrite"]
    assert found.relationships["skeleton_id"].of(0).tolist() == [4781447896]


def test_points_of_a_skeleton_of_h01_are_found(h01):
    found = read_annotations(h01, related=("skeleton_id", 243895108))

    assert found.ids.tolist() == [3816437483 + i for i in range(4)]
    np.testing.assert_array_equal(found.positions_nm_xyz[0], [3072768, 322048, 5280])
    assert found.properties["class_label"].labels() == ["axon"] * 4
