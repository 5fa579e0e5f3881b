"""What labels survive: the death of who labels, and company."""

import contextlib
import multiprocessing
import random
import resource
import sqlite3

import pytest

from embed.errors import StorageError
from tests.serve.labelling import labeller

KILLS = 6
# Forked where all is imported and nothing runs yet: a new interpreter would take two seconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.serve.labelling.labeller"])


@pytest.fixture
def start(labelled):
    """Starts processes that label, none of which outlives the test."""
    with contextlib.ExitStack() as stack:

        def started(author, actions):
            pipe, end = PROCESSES.Pipe()
            process = PROCESSES.Process(
                target=labeller.label, args=(labelled.path, end, author, actions)
            )
            process.start()
            end.close()  # so that its death is the end of what can be heard
            stack.callback(process.join, 60)
            stack.callback(process.kill)
            return process, pipe

        yield started


def heard(pipe, count=None):
    """The ids of as many actions as it tells, or of all until it ends or dies."""
    ids = []
    with contextlib.suppress(EOFError, ConnectionResetError):
        while count is None or count > 0:
            said = pipe.recv()
            if said == "end":
                break
            ids += said
            count = None if count is None else count - 1
    return ids


def assert_kept(store, ids):
    """All were stored, and the file is sound."""
    db = sqlite3.connect(store.path)
    stored = {row[0] for row in db.execute("SELECT id FROM label")}
    assert set(ids) <= stored
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()


def test_what_was_acknowledged_is_there_after_any_number_of_kills(store, start):
    rng, acknowledged = random.Random(0), []

    for kill in range(KILLS):
        process, pipe = start(f"author {kill}", 10**6)
        acknowledged += heard(pipe, rng.randrange(1, 8))
        process.kill()
        acknowledged += heard(pipe)  # what it still said
        process.join(60)
        assert process.exitcode == -9
        assert_kept(store, acknowledged)

    assert len(acknowledged) > KILLS
    labels, _ = store.add("structures", "ana", [labeller.Place((260, 260, 435), "mito")], "a test")
    assert len(labels) == 1


def test_processes_label_at_once_and_all_of_it_is_kept(store, start):
    pipes = [start(author, 12)[1] for author in ("ana", "bob", "eve")]

    acknowledged = [id_ for pipe in pipes for id_ in heard(pipe)]

    assert len(acknowledged) == len(set(acknowledged)) >= 36
    assert_kept(store, acknowledged)
    assert len(store.changes().labels) == sum(store.sets()[0].labels)


def test_a_disk_that_refuses_is_told_and_nothing_that_was_kept_is_lost(store):
    places = [labeller.Place((100.0 + 32 * n, 260.0, 435.0), "mito") for n in range(14)]
    kept = list(store.add("structures", "ana", places, "a test")[0])

    def go_on():
        for author in range(1000):
            kept.extend(store.add("structures", f"author {author}", places, "a test")[0])

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (store.path.stat().st_size + 20_000, hard))
    try:
        with pytest.raises(StorageError, match="cannot change .*labels.sqlite"):
            go_on()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert store.labels("structures") == tuple(kept)
    assert store.add("structures", "eve", places, "a test")[0]
    assert_kept(store, [label.id for label in kept])
