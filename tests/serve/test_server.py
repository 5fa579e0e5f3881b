"""Tests of serve/server.py: ports, health, reflection, and what bad callers cannot do."""

import contextlib
import os
import socket
import threading
import time
import urllib.request
from concurrent import futures

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from embed.errors import ConfigError, UnavailableError
from serve.client import Client
from serve.pb.voxkin.v1 import search_pb2, search_pb2_grpc, types_pb2
from serve.server import _make_health, start_server
from serve.servicer import SERVICES
from serve.wire import codec
from tests.served import is_refused, make_served

ANY = "127.0.0.1:0"
Health = health_pb2.HealthCheckResponse


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return make_served(tmp_path_factory.mktemp("served") / "small")


@pytest.fixture(scope="module")
def server(served):
    with start_server({"small": served}, ANY, "localhost:0") as server:
        yield server


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


def health_of(address, service=""):
    with grpc.insecure_channel(address) as channel:
        request = health_pb2.HealthCheckRequest(service=service)
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status


def test_both_ports_are_free_ones_and_are_told(server):
    assert not server.grpc_address.endswith(":0")
    assert server.http_address.startswith("127.0.0.1:")
    assert urllib.request.urlopen(f"http://{server.http_address}/healthz").status == 200


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_the_server_and_each_service_are_healthy(server, service):
    assert health_of(server.grpc_address, service) == Health.SERVING


def test_reflection_tells_the_services_and_their_messages(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)

    found = pool.FindServiceByName("voxkin.v1.SearchService")

    assert set(SERVICES) <= set(database.get_services())
    assert found.methods_by_name["FindSimilar"].input_type.fields_by_name["position_nm"]


def test_the_ipv6_loopback_is_served_where_there_is_one(served):
    if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 on this machine")
    try:
        server = start_server({"small": served}, "[::1]:0", "[::1]:0")
    except UnavailableError:
        pytest.skip("no IPv6 loopback on this machine")

    with server, Client(server.grpc_address) as client:
        assert client.describe().name == "small"
        assert urllib.request.urlopen(f"http://{server.http_address}/healthz").status == 200


@pytest.mark.parametrize("taken", ["grpc", "http"])
def test_a_port_in_use_is_refused_and_the_other_port_is_let_go(served, server, taken):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = f"127.0.0.1:{free.getsockname()[1]}"
    addresses = {
        "grpc": (server.grpc_address, other),
        "http": (other, server.http_address),
    }[taken]

    with pytest.raises(UnavailableError, match=rf"in use.*--{taken}"):
        start_server({"small": served}, *addresses)

    assert is_refused(other)
    assert health_of(server.grpc_address) == Health.SERVING


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "example.org:50051"])
def test_an_address_that_others_could_reach_is_refused(served, address):
    with pytest.raises(UnavailableError, match="ssh -L"):
        start_server({"small": served}, address, ANY)
    with pytest.raises(UnavailableError, match="ssh -L"):
        start_server({"small": served}, ANY, address)


def test_a_malformed_address_is_refused(served):
    with pytest.raises(ConfigError, match="HOST:PORT"):
        start_server({"small": served}, "50051", ANY)


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x00" * 10_000]
)
@pytest.mark.parametrize("port", ["grpc", "http"])
def test_raw_bytes_at_a_port_harm_nobody(server, junk, port):
    address = server.grpc_address if port == "grpc" else server.http_address
    host, number = address.split(":")

    with socket.create_connection((host, int(number)), timeout=10) as plug:
        with contextlib.suppress(OSError):  # the server may hang up before all is said
            plug.sendall(junk)
            plug.shutdown(socket.SHUT_WR)
            plug.recv(100)

    assert health_of(server.grpc_address) == Health.SERVING
    assert urllib.request.urlopen(f"http://{server.http_address}/healthz").status == 200


def test_a_message_that_is_no_message_is_refused(server, channel):
    call = channel.unary_unary("/voxkin.v1.SearchService/FindSimilar")

    with pytest.raises(grpc.RpcError) as refused:
        call(b"\xff" * 100, timeout=10)

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "no message of the type" in refused.value.details()
    assert health_of(server.grpc_address) == Health.SERVING


def test_a_message_above_the_limit_is_refused(server):
    options = [("grpc.max_send_message_length", -1)]
    voxels = types_pb2.CutOut(voxels=bytes(codec.MAX_MESSAGE_BYTES + 1))

    with grpc.insecure_channel(server.grpc_address, options) as channel:
        stub = search_pb2_grpc.SearchServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.Embed(search_pb2.EmbedRequest(cut_out=voxels), timeout=60)

    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert health_of(server.grpc_address) == Health.SERVING


def test_an_unknown_method_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/voxkin.v1.SearchService/Nothing")(b"", timeout=10)

    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_health_changes_while_those_who_watch_it_leave():
    """With gRPC's usual way of watching, both end up waiting for each other."""
    servicer, stop, changed = _make_health(), threading.Event(), threading.Event()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port(ANY)}"
    server.start()

    def change():
        for number in range(200):
            servicer.set("a", (Health.SERVING, Health.NOT_SERVING)[number % 2])
            time.sleep(0.002)
        changed.set()

    def come_and_leave():
        with grpc.insecure_channel(address) as channel, contextlib.suppress(grpc.RpcError):
            while not stop.is_set():
                watch = health_pb2_grpc.HealthStub(channel).Watch(
                    health_pb2.HealthCheckRequest(service="a")
                )
                next(watch)
                watch.cancel()

    # Daemons: were they to wait for ever, the test should fail, not hang.
    for work in (*[come_and_leave] * 4, change):
        threading.Thread(target=work, daemon=True).start()
    try:
        assert changed.wait(30)
    finally:
        stop.set()
        server.stop(0)
