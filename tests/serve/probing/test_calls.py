"""Tests of serve/probing/calls.py, codec.py and servicer.py against a real server."""

import dataclasses

import pytest

from embed.errors import ConfigError, NotFoundError, RequestError
from embed.probing.learning_curve import CurvePoint
from embed.probing.scores import Scores
from serve.client import Client
from serve.pb.voxkin.v1 import probe_pb2
from serve.probes import Teaching
from serve.probing import codec
from serve.probing.suggestions import Wish
from serve.server import start_server
from serve.wire.answers import ProbeSummary
from tests.serve.probing.conftest import signs

SUMMARY = ProbeSummary(
    name="mito",
    kind="multilabel",
    classes=("a", "b"),
    labels={"a": 3, "b": 4},
    labels_from="set ab, revision 7",
    sets=("ab",),
    scores=Scores(5, 0.9, 0.8, {"a": 0.7, "b": 0.6}, 0.05, 0.1),
    unscored="",
    curve=(CurvePoint(5, 0.5, 0.1), CurvePoint(10, 0.6, 0.05)),
    prior={"a": 0.25, "b": 0.5},
    prior_source="given",
    encoder="e",
    created="2026-01-01",
    version=3,
    versions=4,
    restored=1,
)


@pytest.fixture(scope="module")
def client(served):
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        with Client(server.grpc_address) as client:
            yield client


@pytest.mark.parametrize("scores", [None, SUMMARY.scores, Scores(2, 0.5, 0.5, {"a": 0.5})])
def test_a_probe_survives_the_wire(scores):
    probe = dataclasses.replace(SUMMARY, scores=scores)

    assert codec.read_probe(codec.probe(probe)) == probe


@pytest.mark.parametrize(
    "teaching",
    [Teaching(), Teaching("multilabel", "none"), Teaching(prior={"axon": 0.25, "mito": 0.5})],
)
def test_how_to_teach_survives_the_wire(teaching):
    found = codec.teaching(codec.train_request("small", "p", teaching))

    assert found == dataclasses.replace(teaching, labels="sent by a caller")


def test_suggestions_are_those_made_in_process(client, served):
    wish = Wish(5, "likely", "axon")

    assert client.suggest("mito", wish) == served.probing.suggest("mito", wish)
    assert len(client.suggest("mito")) >= 6


def test_a_probe_is_trained_with_given_shares_and_rolled_back(client, served):
    shares = {"axon": 0.5, "mito": 0.375, "rare": 0.125}

    first = client.train_probe("back", signs(served.atlas))
    second = client.train_probe("back", signs(served.atlas), teaching=Teaching(prior=shares))
    back = client.roll_back_probe("back")

    assert (second.version, second.versions, second.prior) == (2, 2, shares)
    assert second.labels_from == "sent by a caller"
    assert (back.version, back.restored, back.prior) == (3, 1, first.prior)
    assert client.probes()[0] == back


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda c: c.suggest("nobody"), NotFoundError, "no probe 'nobody'"),
        (lambda c: c.suggest("mito", Wish(3, "likely", "cat")), RequestError, "no class 'cat'"),
        (lambda c: c.suggest("mito", Wish(0)), RequestError, "1 to 100; got 0"),
        (lambda c: c.suggest("mito", Wish(3, "bold")), RequestError, "kind is one of"),
        (lambda c: c.roll_back_probe("mito"), RequestError, "nothing was trained before"),
        (lambda c: c.roll_back_probe("mito", 9), NotFoundError, "no version 9"),
        (lambda c: c.train_probe("p", ["nobody"]), NotFoundError, "nobody"),
    ],
)
def test_refusals_are_the_errors_of_the_library(client, call, error, said):
    with pytest.raises(error, match=said):
        call(client)


def test_shares_without_a_class_are_refused(client, served):
    with pytest.raises(ConfigError, match="no share is given for 'mito'"):
        client.train_probe("p", signs(served.atlas), teaching=Teaching(prior={"axon": 0.5}))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            probe_pb2.TrainProbeRequest(prior_source=probe_pb2.PRIOR_SOURCE_GIVEN),
            "prior_source is given, and prior has 0 shares",
        ),
        (
            probe_pb2.TrainProbeRequest(prior_source=probe_pb2.PRIOR_SOURCE_NONE, prior={"a": 0.5}),
            "prior_source is none, and prior has 1 shares",
        ),
        (
            probe_pb2.TrainProbeRequest(sets=["a"], places=[probe_pb2.LabelledPlace(label="a")]),
            "one of the two",
        ),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(request_, said):
    with pytest.raises(RequestError, match=said):
        codec.teaching(request_)
