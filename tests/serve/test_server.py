"""Tests of serve/server.py: ports, health, reflection, limits, and a graceful end."""

import contextlib
import os
import signal
import socket
import threading
import time
import urllib.request

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from embed.errors import ConfigError, UnavailableError
from serve import codec
from serve.client import Client
from serve.jobs import Step
from serve.pb.voxkin.v1 import search_pb2, search_pb2_grpc, types_pb2
from serve.server import start_server
from serve.servicer import SERVICES
from tests.served import INSIDE, make_served

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


def is_refused(address):
    host, port = address.rsplit(":", 1)
    with socket.socket() as plug:
        return plug.connect_ex((host, int(port))) != 0


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

    assert refused.value.code() == grpc.StatusCode.INTERNAL
    assert "Traceback" not in refused.value.details()
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


class Held:
    """A served atlas whose searches begin at once and end when they are let go."""

    def __init__(self, served):
        self._served = served
        self.begun, self.let_go = threading.Event(), threading.Event()

    def __getattr__(self, name):
        return getattr(self._served, name)

    def find_at(self, *arguments):
        self.begun.set()
        self.let_go.wait(30)
        return self._served.find_at(*arguments)


def ask_in_thread(server, answers):
    def ask():
        with Client(server.grpc_address) as client:
            answers.append(client.find_similar(position_nm_xyz=INSIDE, k=1))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_stopping_lets_calls_in_flight_end_and_refuses_new_ones(served):
    held, answers = Held(served), []
    server = start_server({"small": held}, ANY, ANY)
    asking = ask_in_thread(server, answers)
    held.begun.wait(30)

    stopping = threading.Thread(target=server.stop, args=(20,))
    stopping.start()
    time.sleep(0.3)
    with pytest.raises(grpc.RpcError):
        health_of(server.grpc_address)
    held.let_go.set()
    stopping.join()
    asking.join()

    assert answers[0].complete
    assert is_refused(server.grpc_address)
    assert is_refused(server.http_address)


def test_a_call_that_does_not_end_is_cut_off_after_the_grace(served):
    held = Held(served)
    server = start_server({"small": held}, ANY, ANY)
    failed = []

    def ask():
        with Client(server.grpc_address) as client, pytest.raises(UnavailableError) as failure:
            client.find_similar(position_nm_xyz=INSIDE)
        failed.append(failure)

    asking = threading.Thread(target=ask)
    asking.start()
    held.begun.wait(30)

    begun = time.monotonic()
    server.stop(grace=0.2)
    took = time.monotonic() - begun
    held.let_go.set()
    asking.join()

    assert took < 5
    assert failed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_gracefully_and_the_handlers_are_put_back(served, number):
    server = start_server({"small": served}, ANY, ANY)
    before = signal.getsignal(number)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()

    server.wait(grace=5)

    timer.join()
    assert is_refused(server.grpc_address)
    assert is_refused(server.http_address)
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait_for_the_calls_in_flight(served):
    held = Held(served)
    server = start_server({"small": held}, ANY, ANY)
    with grpc.insecure_channel(server.grpc_address) as channel:
        request = search_pb2.FindSimilarRequest(position_nm=codec.position(INSIDE))
        call = search_pb2_grpc.SearchServiceStub(channel).FindSimilar.future(request, timeout=60)
        held.begun.wait(30)
        timers = [threading.Timer(t, os.kill, (os.getpid(), signal.SIGINT)) for t in (0.3, 0.8)]
        for timer in timers:
            timer.start()

        begun = time.monotonic()
        server.wait(grace=60)
        took = time.monotonic() - begun

        assert took < 10
        assert call.code() == grpc.StatusCode.UNAVAILABLE
    held.let_go.set()


def test_stopping_twice_is_stopping_once(served):
    server = start_server({"small": served}, ANY, ANY)

    server.stop(1)
    server.stop(1)

    assert is_refused(server.grpc_address)


def test_more_calls_than_the_server_takes_are_refused_at_once_and_the_rest_answered(served):
    held = Held(served)
    request = search_pb2.FindSimilarRequest(position_nm=codec.position(INSIDE))
    with start_server({"small": held}, ANY, ANY) as server:
        with grpc.insecure_channel(server.grpc_address) as channel:
            stub = search_pb2_grpc.SearchServiceStub(channel)
            calls = [stub.FindSimilar.future(request, timeout=60) for _ in range(80)]
            refused = {grpc.StatusCode.RESOURCE_EXHAUSTED}
            deadline = time.monotonic() + 20
            while sum(c.done() for c in calls) < 16 and time.monotonic() < deadline:
                time.sleep(0.05)
            held.let_go.set()
            codes = [call.code() for call in calls]

    assert set(codes) == {grpc.StatusCode.OK} | refused
    assert codes.count(grpc.StatusCode.OK) == 64


def test_a_job_whose_caller_hangs_up_ends_and_makes_room(served):
    ended = threading.Event()

    class Endless(Held):
        def apply_probe(self, name):
            try:
                for done in range(10**9):
                    time.sleep(0.01)
                    yield Step(done, 10**9)
            finally:
                ended.set()

    with start_server({"small": Endless(served)}, ANY, ANY) as server:
        with Client(server.grpc_address) as client:
            news = client.apply_probe("any")
            assert next(news) == Step(0, 10**9)
            news.close()

            assert ended.wait(10)
