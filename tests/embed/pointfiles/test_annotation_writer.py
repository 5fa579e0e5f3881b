"""Tests of embed/pointfiles/annotation_writer.py, by the reader."""

import json

import numpy as np
import pytest

from embed.pointfiles import annotation_writer
from embed.pointfiles.annotation_format import PropertyType
from embed.pointfiles.annotation_writer import annotation_files
from embed.pointfiles.annotations import read_annotations

CLASSES = PropertyType("label", "uint8", {0: "mito", 1: "axon"})
COLOUR = PropertyType("color", "rgb", {})
TIME = PropertyType("time_s", "uint32", {})


def write(folder, count, seed=0, same=False, segments=None):
    """Random annotations; gives back what was written."""
    rng = np.random.default_rng(seed)
    positions = np.full((count, 3), 5.0) if same else rng.integers(0, (9e6, 5e5, 999), (count, 3))
    ids = rng.permutation(np.arange(count, dtype=np.uint64) + np.uint64(2**60))
    values = [
        (CLASSES, rng.integers(0, 2, count)),
        (COLOUR, rng.integers(0, 255, (count, 3))),
        (TIME, rng.integers(0, 2**32, count)),
    ]
    for name, content in annotation_files(positions.astype(float), ids, values, segments):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return positions, ids, values


def assert_same(found, written):
    positions, ids, values = written
    order = np.argsort(ids)
    np.testing.assert_array_equal(found.ids, ids[order])
    np.testing.assert_array_equal(found.positions_nm_xyz, positions[order])
    for kind, column in values:
        np.testing.assert_array_equal(found.properties[kind.id].values, column[order])


@pytest.mark.parametrize("count", [1, 2, 100])
def test_what_is_written_is_read(tmp_path, count):
    written = write(tmp_path, count)

    found = read_annotations(tmp_path)

    assert_same(found, written)
    assert set(found.properties["label"].labels()) <= {"mito", "axon"}


def test_each_is_found_by_its_id_and_by_its_segment(tmp_path):
    segments = np.array([0, 2**63 + 1, 7, 7], np.uint64)
    _, ids, _ = write(tmp_path, 4, segments=segments)

    found = read_annotations(tmp_path, ids=[int(ids[1])])

    assert found.relationships["segment"].of(0).tolist() == [2**63 + 1]
    of_seven = read_annotations(tmp_path, related=("segment", 7))
    assert of_seven.ids.tolist() == sorted(ids[2:].tolist())
    everything = dict(
        zip(
            read_annotations(tmp_path).ids.tolist(),
            read_annotations(tmp_path).relationships["segment"].firsts().tolist(),
            strict=True,
        )
    )
    assert everything == dict(zip(ids.tolist(), segments.tolist(), strict=True))


def test_many_are_spread_over_levels_and_lie_in_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(annotation_writer, "CELL", 100)
    monkeypatch.setattr(annotation_writer, "PLAIN", 1000)

    written = write(tmp_path, 2000)

    info = json.loads((tmp_path / "info").read_text())
    assert_same(read_annotations(tmp_path), written)
    assert [p.suffix for p in (tmp_path / "by_id").iterdir()] == [".shard"]
    assert info["spatial"][0]["grid_shape"] == [1, 1, 1]
    assert len(info["spatial"]) > 3
    for level in info["spatial"]:
        held = [
            int.from_bytes(p.read_bytes()[:8], "little")
            for p in (tmp_path / level["key"]).iterdir()
        ]
        assert max(held) <= level["limit"] <= 100 or level is info["spatial"][-1]
    found = read_annotations(tmp_path, ids=[int(written[1][5])])
    np.testing.assert_array_equal(found.positions_nm_xyz, written[0][5:6])


def test_each_lies_in_the_cell_that_it_is_listed_in(tmp_path, monkeypatch):
    monkeypatch.setattr(annotation_writer, "CELL", 20)
    write(tmp_path, 300)
    info = json.loads((tmp_path / "info").read_text())
    found = read_annotations(tmp_path)
    place_of = dict(zip(found.ids.tolist(), found.positions_nm_xyz, strict=True))

    for level in info["spatial"]:
        for path in (tmp_path / level["key"]).iterdir():
            count = int.from_bytes(path.read_bytes()[:8], "little")
            ids = np.frombuffer(path.read_bytes()[-8 * count :], "<u8").tolist()
            cell = np.array(path.name.split("_"), int)
            low = info["lower_bound"] + cell * level["chunk_size"]
            positions = np.array([place_of[id_] for id_ in ids])
            assert (positions >= low).all()
            assert (positions < low + level["chunk_size"]).all()


def test_places_that_are_the_same_are_written_too(tmp_path, monkeypatch):
    monkeypatch.setattr(annotation_writer, "CELL", 10)

    written = write(tmp_path, 200, same=True)

    assert_same(read_annotations(tmp_path), written)


def test_the_names_of_the_files_are_those_that_neuroglancer_asks_for(tmp_path):
    write(tmp_path, 3, segments=np.array([5, 5, 0], np.uint64))

    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}

    ids = {f"by_id/{2**60 + n}" for n in range(3)}
    assert names == {"info", "spatial0/0_0_0", "segment/5", *ids}
    info = json.loads((tmp_path / "info").read_text())
    assert info["dimensions"] == {axis: [1e-9, "m"] for axis in "xyz"}
    assert info["properties"][0] == {
        "id": "label",
        "type": "uint8",
        "enum_values": [0, 1],
        "enum_labels": ["mito", "axon"],
    }
