"""Tests of serve/labelling/database.py: which files are opened, and how they are written."""

import sqlite3

import pytest

from embed.errors import DataError, MismatchError
from serve.labelling import schema
from serve.labelling.label import Place
from serve.labelling.store import LabelStore
from tests.atlases import make_atlas

HERE = (260.0, 261.0, 435.0)


def add(store, author, *labels, at=HERE):
    return store.add("structures", author, [Place(at, label) for label in labels], "a test")[0]


def test_labels_of_other_locations_are_refused(store, tmp_path):
    add(store, "ana", "mito")
    other = LabelStore.open(make_atlas(tmp_path / "other", (2, 2, 2)))
    other.path.write_bytes(store.path.read_bytes())

    with pytest.raises(MismatchError, match="labels of other locations than this atlas has"):
        other.labels("structures")


def test_a_store_of_a_newer_voxkin_is_refused_and_left_alone(store):
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(MismatchError, match="format 99, and this voxkin knows formats up to 1"):
        store.sets()
    with pytest.raises(MismatchError, match="upgrade voxkin"):
        add(store, "ana", "mito")


def test_an_older_store_is_brought_up_to_date_with_its_labels(store, monkeypatch):
    kept = add(store, "ana", "mito")
    newer = (*schema.VERSIONS, "ALTER TABLE class_set ADD COLUMN note TEXT; CREATE TABLE more (a);")
    monkeypatch.setattr(schema, "VERSIONS", newer)
    monkeypatch.setattr("serve.labelling.database.VERSIONS", newer)

    assert store.labels("structures") == kept
    with sqlite3.connect(store.path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT note FROM class_set").fetchall() == [(None,)]
    db.close()


def test_another_programs_database_and_a_damaged_file_are_refused(store):
    add(store, "ana", "mito")
    content = bytearray(store.path.read_bytes())
    store.path.write_bytes(b"no database at all, but some text" * 100)
    with pytest.raises(DataError, match="damaged"):
        store.sets()
    content[4096 : 2 * 4096] = bytes(4096)
    store.path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        add(store, "ana", "axon")
    store.path.unlink()
    with sqlite3.connect(store.path) as db:
        db.execute("CREATE TABLE mine (a)")
    db.close()
    with pytest.raises(DataError, match="something else than labels"):
        store.sets()


def test_the_log_is_written_ahead_and_a_commit_waits_for_the_disk(store):
    with store._db.writing() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
