"""Tests of serve/gate/calls.py: how calls are counted, and what becomes of those that are none."""

import re
import threading
import urllib.request

import grpc
import pytest

from serve.pb.voxkin.v1 import atlas_pb2, atlas_pb2_grpc, search_pb2, search_pb2_grpc
from serve.server import start_server
from serve.servicer import SearchServicer

ANY = "127.0.0.1:0"


@pytest.fixture
def server():
    """A server of no atlas."""
    with start_server({}, ANY, ANY) as server:
        yield server


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.grpc_address) as channel:
        yield channel


def handled(server):
    """How many calls of each method ended with each status."""
    text = urllib.request.urlopen(f"http://{server.http_address}/metrics").read().decode()
    line = r'grpc_server_handled_total\{grpc_code="(\w+)",grpc_method="(\w+)",.*\} (\S+)'
    return {(method, code): float(n) for code, method, n in re.findall(line, text)}


def test_each_call_is_counted_once_with_how_it_ended(server, channel):
    stub = atlas_pb2_grpc.AtlasServiceStub(channel)
    for _ in range(3):
        stub.List(atlas_pb2.ListAtlasesRequest(), timeout=60)
    with pytest.raises(grpc.RpcError):
        stub.Describe(atlas_pb2.DescribeAtlasRequest(atlas="nobody"), timeout=60)

    assert handled(server) == {("List", "OK"): 3, ("Describe", "NOT_FOUND"): 1}


@pytest.mark.parametrize("method", ["SearchService/FindSimilar", "SearchService/FindAll"])
def test_what_is_no_message_is_a_mistake_of_the_caller_and_no_bug(server, channel, caplog, method):
    path = f"/voxkin.v1.{method}"
    streams = method.endswith("All")
    call = (channel.unary_stream if streams else channel.unary_unary)(path)

    with pytest.raises(grpc.RpcError) as refused:
        list(call(b"\xff" * 100, timeout=60))

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "no message of the type" in refused.value.details()
    assert handled(server) == {(method.split("/")[1], "INVALID_ARGUMENT"): 1}
    assert not caplog.records


def test_a_method_that_nobody_has_is_not_counted(server, channel):
    with pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/voxkin.v1.SearchService/Nothing")(b"", timeout=60)

    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert handled(server) == {}


def test_long_calls_do_not_hold_up_quick_ones(monkeypatch):
    ends, begun = threading.Event(), threading.Semaphore(0)

    def long(self, request, context):
        begun.release()
        ends.wait(60)
        return search_pb2.EmbedResponse()

    monkeypatch.setattr(SearchServicer, "Embed", long)
    with (
        start_server({}, ANY, ANY) as server,
        grpc.insecure_channel(server.grpc_address) as channel,
    ):
        embed = search_pb2_grpc.SearchServiceStub(channel).Embed.future
        held = [embed(search_pb2.EmbedRequest(), timeout=60) for _ in range(8)]
        assert all(begun.acquire(timeout=60) for _ in held)

        atlas_pb2_grpc.AtlasServiceStub(channel).List(atlas_pb2.ListAtlasesRequest(), timeout=60)

        assert not any(call.done() for call in held)
        ends.set()
        for call in held:
            call.result()


def test_messages_that_do_not_come_hold_up_nobody(server, channel):
    come = threading.Event()

    def message():
        come.wait(60)
        yield b""

    find = channel.stream_unary("/voxkin.v1.SearchService/FindSimilar")
    held = [find.future(message(), timeout=60) for _ in range(8)]

    for _ in range(20):
        atlas_pb2_grpc.AtlasServiceStub(channel).List(atlas_pb2.ListAtlasesRequest(), timeout=60)

    assert not any(call.done() for call in held)
    come.set()
    for call in held:
        with pytest.raises(grpc.RpcError) as refused:
            call.result()
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
