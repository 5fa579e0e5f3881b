"""Tests of embed/ledger.py: what counts as done."""

import multiprocessing
import resource

import pytest

from embed.errors import DataError, StorageError
from embed.ledger import Ledger, Mark

DONE = Mark("done", "0123", 512, 7)
VOID = Mark("void", "", 512, 512)
FAILED = Mark("failed", locations=512, reason="cannot read: chunk 3 is cut short")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def test_an_empty_ledger_has_no_marks(ledger):
    assert ledger.marks() == {}


def test_marks_come_back_as_they_were_recorded(ledger):
    marks = {(0, 0, 0): DONE, (0, 10, 2): VOID, (12, 3, 4): FAILED}

    for shard, mark in marks.items():
        ledger.record(shard, mark)

    assert Ledger(ledger.path).marks() == marks


def test_the_first_of_two_marks_stays(ledger):
    ledger.record((1, 2, 3), DONE)

    ledger.record((1, 2, 3), Mark("done", "another", 512, 0))
    ledger.record((1, 2, 3), VOID)

    assert ledger.marks() == {(1, 2, 3): DONE}


def test_a_failed_shard_that_is_done_after_all_counts_as_done(ledger):
    ledger.record((1, 2, 3), FAILED)

    ledger.record((1, 2, 3), DONE)

    assert ledger.marks() == {(1, 2, 3): DONE}
    assert [file.name for file in ledger.path.rglob("*.json")] == ["1.2.3.json"]


def test_the_newest_reason_of_a_failure_is_kept(ledger):
    ledger.record((1, 2, 3), FAILED)

    ledger.record((1, 2, 3), Mark("failed", locations=512, reason="another"))

    assert ledger.marks()[1, 2, 3].reason == "another"


def test_a_failure_after_success_changes_nothing(ledger):
    ledger.record((1, 2, 3), DONE)

    ledger.record((1, 2, 3), FAILED)

    assert ledger.marks() == {(1, 2, 3): DONE}


def test_forgetting_a_shard_leaves_its_neighbours(ledger):
    ledger.record((1, 2, 3), DONE)
    ledger.record((1, 2, 30), VOID)
    ledger.record((1, 2, 4), FAILED)

    for shard in [(1, 2, 3), (1, 2, 4), (9, 9, 9)]:
        ledger.forget(shard)

    assert ledger.marks() == {(1, 2, 30): VOID}


@pytest.mark.parametrize("content", ["", "{", '{"state": "perhaps"}', "[]"])
def test_a_damaged_entry_is_named_with_what_to_do(ledger, content):
    ledger.record((1, 2, 3), DONE)
    (ledger.path / "1.2.3.json").write_text(content)

    with pytest.raises(DataError, match=r"1\.2\.3\.json is damaged; delete that file and run"):
        ledger.marks()


def test_a_file_that_is_no_entry_is_named(ledger):
    ledger.record((1, 2, 3), DONE)
    (ledger.path / "notes.json").write_text("{}")

    with pytest.raises(DataError, match=r"notes\.json is damaged"):
        ledger.marks()


def test_a_disk_that_refuses_is_said(ledger):
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(StorageError, match="cannot write the ledger at"):
            ledger.record((1, 2, 3), DONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))

    assert ledger.marks() == {}


def race(path, name, shards, start):
    ledger = Ledger(path)
    start.wait(60)
    for index in range(shards):
        ledger.record((index, 0, 0), Mark("done", name, 512))


def test_of_processes_that_race_for_a_shard_one_leaves_its_mark(ledger):
    shards, names = 40, ("a", "b")
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(len(names) + 1)
    runners = [spawn.Process(target=race, args=(ledger.path, n, shards, start)) for n in names]
    for runner in runners:
        runner.start()

    start.wait(60)
    seen = ledger.marks()
    for runner in runners:
        runner.join(60)

    assert [runner.exitcode for runner in runners] == [0, 0]
    marks = ledger.marks()
    assert marks.keys() == {(index, 0, 0) for index in range(shards)}
    assert {mark.digest for mark in marks.values()} <= set(names)
    # Whatever was there while they raced is there still.
    assert seen.items() <= marks.items()
