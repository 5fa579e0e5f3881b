"""Tests of serve/labelling/calls.py, servicer.py and codec.py: labels over gRPC, as in process."""

import pytest

from embed.errors import ConflictError, NotFoundError, OutOfBoundsError, RequestError
from serve.client import Client
from serve.labelling.classes import ClassSet
from serve.labelling.codec import MAX_LABELS
from serve.labelling.label import Place
from serve.labelling.store import FILE, LabelStore
from serve.server import start_server
from tests.serve.labelling.conftest import STRUCTURES
from tests.served import INSIDE

THERE = (400.0, 300.0, 400.0)


@pytest.fixture(scope="module")
def connected(served):
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        with Client(server.grpc_address) as client:
            yield client


@pytest.fixture
def client(connected, served):
    """A client of an atlas with a class set and no label."""
    for file in served.atlas.path.glob(f"{FILE}*"):
        file.unlink()
    connected.put_label_set(STRUCTURES)
    return connected


def test_labels_are_kept_and_told_as_the_store_has_them(client, served):
    store = LabelStore.open(served.atlas)

    made = client.add_labels("structures", "ana", [Place(INSIDE, "mito"), Place(THERE, "axon")])

    assert made == store.labels("structures")
    assert {label.source for label in made} == {"gRPC"}
    assert client.labels() == store.changes()
    assert client.labels("structures", limit=1) == store.changes("structures", limit=1)
    assert client.label_sets("small") == store.sets()


def test_what_changed_is_told_after_a_revision(client, served):
    (label,) = client.add_labels("structures", "ana", [Place(INSIDE, "mito")], source="a script")
    before = client.labels().revision

    revision = client.remove_label(label.id, "bob")

    news = client.labels(after=before)
    assert (news.labels, news.removed, news.revision) == ((), (label.id,), revision)
    assert client.undo_labels("bob").startswith("put back 'mito'")
    assert client.labels().labels == (label,)
    assert label.source == "a script"


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda c: c.add_labels("structures", "ana", []), RequestError, "at least one"),
        (lambda c: c.add_labels("s", "ana", [Place(INSIDE, "mito")]), NotFoundError, "structures"),
        (
            lambda c: c.add_labels("structures", "ana", [Place((1e6, 0, 0), "mito")]),
            OutOfBoundsError,
            "outside atlas",
        ),
        (
            lambda c: c.add_labels("structures", "ana", [Place(INSIDE, "mito")] * (MAX_LABELS + 1)),
            RequestError,
            "at most 10,000",
        ),
        (lambda c: c.undo_labels("nobody"), ConflictError, "nothing to undo"),
        (lambda c: c.undo_labels("\0"), RequestError, "printable"),
        (lambda c: c.remove_label(2**64 - 1, "ana"), NotFoundError, "no label"),
        (lambda c: c.labels(after=2**64 - 1), RequestError, "after is a revision"),
        (lambda c: c.labels(limit=0), RequestError, "limit is 1 to"),
        (lambda c: c.labels(atlas="nobody"), NotFoundError, "served: small"),
    ],
)
def test_mistakes_are_raised_again_and_change_nothing(client, ask, error, words):
    before = client.labels()

    with pytest.raises(error, match=words):
        ask(client)

    assert client.labels() == before


def test_a_class_in_use_cannot_be_dropped(client):
    client.add_labels("structures", "ana", [Place(INSIDE, "mito")])

    with pytest.raises(ConflictError, match="cannot be dropped"):
        client.put_label_set(ClassSet("structures", ()))
