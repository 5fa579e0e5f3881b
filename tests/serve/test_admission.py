"""Tests of serve/gate/admission.py and door.py: who is let in by gRPC, over TLS, and who is not."""

import ssl
import threading

import grpc
import httpx
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from embed.errors import ForbiddenError, QuotaError, UnauthenticatedError
from serve.access import Access
from serve.client import Client
from serve.gate.admission import scope_of
from serve.labelling.classes import ClassSet
from serve.labelling.label import Place
from serve.labels import LabelTable
from serve.pb.voxkin.v1 import atlas_pb2, label_pb2, probe_pb2, search_pb2
from serve.server import start_server
from serve.servicer import SERVICES
from tests.certificates import Authority
from tests.serve.tokened import LIMITED, TOKENS, make_settings
from tests.served import INSIDE, make_served

ANY = "127.0.0.1:0"
OTHER = f"vox_{'b' * 43}"

TABLE = LabelTable(
    np.array([(132.0, 260, 435), (164, 260, 435), (452, 260, 435), (484, 260, 435)]),
    ("a", "a", "b", "b"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def settings(authority, tmp_path_factory):
    return make_settings(authority, tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def server(served, settings):
    with start_server({"small": served}, ANY, ANY, settings) as server:
        yield server


@pytest.fixture
def client_of(server, authority):
    """Makes a client that shows a token."""
    made = []

    def make(token):
        made.append(Client(server.grpc_address, access=Access(token, ca=authority.certificate)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def channel(server, authority):
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
    with grpc.secure_channel(server.grpc_address, credentials) as channel:
        yield channel


def refusals(server, authority):
    answer = httpx.get(
        f"https://{server.http_address}/metrics",
        verify=ssl.create_default_context(cafile=authority.certificate),
        headers={"authorization": f"Bearer {TOKENS['read']}"},
    )
    lines = [li for li in answer.text.splitlines() if li.startswith("voxkin_refused_total{")]
    return {li.split('"')[1]: float(li.split()[-1]) for li in lines}


def test_a_token_lets_its_owner_search_over_tls(client_of, served):
    found = client_of(TOKENS["read"]).find_similar(position_nm_xyz=INSIDE, k=3)

    assert found == served.find_at(INSIDE, 3, None)


@pytest.mark.parametrize(
    ("token", "words"),
    [(None, "asks for a token"), (OTHER, "none of the server's"), ("x", "none of")],
)
@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.atlases(),
        lambda c: c.find_similar(position_nm_xyz=INSIDE),
        lambda c: c.train_probe("p", TABLE),
        lambda c: list(c.apply_probe("p")),
        lambda c: c.labels(),
        lambda c: c.undo_labels("ana"),
    ],
    ids=["list", "find", "train", "apply", "labels", "undo"],
)
def test_no_token_and_a_wrong_token_are_refused(client_of, ask, token, words):
    with pytest.raises(UnauthenticatedError, match=words):
        ask(client_of(token))


@pytest.mark.parametrize(
    ("scope", "ask"),
    [
        ("write", lambda c: c.atlases()),
        ("admin", lambda c: c.find_similar(position_nm_xyz=INSIDE)),
        ("write", lambda c: c.probes()),
        ("read", lambda c: c.train_probe("p", TABLE)),
        ("read", lambda c: list(c.apply_probe("p"))),
        ("admin", lambda c: list(c.apply_probe("p"))),
        ("write", lambda c: c.labels()),
        ("read", lambda c: c.put_label_set(ClassSet("s", ()))),
        ("read", lambda c: c.add_labels("s", "ana", [Place(INSIDE, "a")])),
    ],
)
def test_a_token_of_another_scope_is_refused(client_of, scope, ask):
    with pytest.raises(ForbiddenError, match=f"'{scope}' allows {scope}; this call needs"):
        ask(client_of(TOKENS[scope]))


def test_a_token_to_write_trains_and_one_to_read_sees_what_came_of_it(client_of):
    trained = client_of(TOKENS["write"]).train_probe("taught", TABLE)

    assert trained in client_of(TOKENS["read"]).probes()


def test_every_method_has_a_scope_that_somebody_decided():
    services = {
        service.full_name: [method.name for method in service.methods]
        for module in (search_pb2, probe_pb2, atlas_pb2, label_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    }

    scopes = {f"{s}/{m}": scope_of(f"/{s}/{m}") for s, methods in services.items() for m in methods}

    assert services.keys() == set(SERVICES)
    assert {m for m, scope in scopes.items() if scope == "write"} == {
        "voxkin.v1.ProbeService/Train",
        "voxkin.v1.ProbeService/Apply",
        "voxkin.v1.ProbeService/Rollback",
        *(f"voxkin.v1.LabelService/{method}" for method in ("PutSet", "Add", "Remove", "Undo")),
    }
    assert "admin" not in scopes.values()
    assert scope_of("/other.Service/Method") == scope_of("junk") == "admin"


def test_health_is_told_without_a_token_and_per_atlas(channel):
    stub = health_pb2_grpc.HealthStub(channel)

    def status(service):
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status

    assert {status(name) for name in ("", *SERVICES, "atlas/small")} == {1}
    with pytest.raises(grpc.RpcError) as unknown:
        status("atlas/nobody")
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


def test_watching_health_and_reflection_need_a_token(channel):
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)

    with pytest.raises(grpc.RpcError) as refused:
        next(watch)
    with pytest.raises(grpc.RpcError) as hidden:
        ProtoReflectionDescriptorDatabase(channel).get_services()

    assert refused.value.code() == hidden.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_call_without_a_token_is_refused_before_it_sends_anything(channel):
    silent = threading.Event()

    def nothing():
        silent.wait(20)
        yield from ()

    call = channel.stream_stream("/voxkin.v1.ProbeService/Train")(nothing(), timeout=10)
    with pytest.raises(grpc.RpcError) as refused:
        next(call)
    silent.set()

    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_an_unknown_method_is_unimplemented_with_a_token_and_unauthenticated_without(channel):
    call = channel.unary_unary("/voxkin.v1.SearchService/Nothing")
    shown = (("authorization", f"Bearer {TOKENS['read']}"),)

    with pytest.raises(grpc.RpcError) as without:
        call(b"", timeout=10)
    with pytest.raises(grpc.RpcError) as with_token:
        call(b"", timeout=10, metadata=shown)

    assert without.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert with_token.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("limit", ["calls", "work"])
def test_a_used_up_quota_says_when_to_come_back_and_leaves_others_alone(client_of, limit):
    client = client_of(LIMITED[limit][0])
    assert client.atlases()

    with pytest.raises(QuotaError, match="try again in") as refused:
        client.atlases()

    assert refused.value.retry_after_s >= 1
    assert client_of(TOKENS["read"]).atlases()


def test_a_call_beyond_those_at_once_is_refused(served, settings, authority):
    begun, let_go = threading.Event(), threading.Event()

    class Held:
        def __getattr__(self, name):
            return getattr(served, name)

        def summary(self):
            begun.set()
            let_go.wait(20)
            return served.summary()

    access = Access(LIMITED["at-once"][0], ca=authority.certificate)
    with start_server({"small": Held()}, ANY, ANY, settings) as server:
        with Client(server.grpc_address, access=access) as client:
            first = threading.Thread(target=client.describe)
            first.start()
            begun.wait(20)
            with pytest.raises(QuotaError, match="at once"):
                client.describe()
            let_go.set()
            first.join()

            assert client.describe().name == "small"


def test_refusals_are_counted_by_their_reason(server, authority, client_of):
    before = refusals(server, authority)
    for token, ask in (
        (None, Client.atlases),
        (OTHER, Client.atlases),
        (TOKENS["read"], lambda c: c.train_probe("p", TABLE)),
    ):
        with pytest.raises((UnauthenticatedError, ForbiddenError)):
            ask(client_of(token))

    after = refusals(server, authority)

    assert {k: after[k] - before.get(k, 0) for k in ("no token", "wrong token", "scope")} == {
        "no token": 1,
        "wrong token": 1,
        "scope": 1,
    }
