"""Tests of serve/wire/status.py, over a real gRPC server that raises what it is told to."""

import inspect
import logging
from concurrent import futures

import grpc
import pytest

from embed import errors
from embed.errors import VoxkinError
from serve.wire.status import (
    BUG,
    CODES,
    code_of,
    error_of,
    http_status_of,
    message_of,
    reports_errors,
)

MISTAKES = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, VoxkinError) and kind is not VoxkinError
]


class Raises:
    """A servicer whose methods raise `error`."""

    error: Exception

    @reports_errors
    def Unary(self, request, context):
        raise self.error

    @reports_errors
    def Streaming(self, request, context):
        yield b"one"
        raise self.error


@pytest.fixture(scope="module")
def raises():
    return Raises()


@pytest.fixture(scope="module")
def channel(raises):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(raises.Unary),
        "Streaming": grpc.unary_stream_rpc_method_handler(raises.Streaming),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.stop(0).wait()


@pytest.fixture(params=["unary", "streaming"])
def failure(request, raises, channel):
    """A function that makes a call fail with an error and returns what the caller sees."""
    answer = {
        "unary": lambda channel: channel.unary_unary("/t.T/Unary")(b"", timeout=10),
        "streaming": lambda channel: list(channel.unary_stream("/t.T/Streaming")(b"", timeout=10)),
    }[request.param]

    def call(error):
        raises.error = error
        with pytest.raises(grpc.RpcError) as raised:
            answer(channel)
        return raised.value

    return call


@pytest.mark.parametrize("kind", MISTAKES, ids=lambda kind: kind.__name__)
def test_a_mistake_arrives_as_the_error_that_was_raised(failure, kind):
    seen = failure(kind("k is 1 to 10; got 11 µm"))

    error = error_of(seen, "127.0.0.1:1")

    assert seen.code() == CODES[kind]
    assert type(error) is kind
    assert str(error) == "k is 1 to 10; got 11 µm"


def test_every_mistake_has_a_status_of_its_own_line():
    assert set(MISTAKES) <= CODES.keys()
    assert all(400 <= http_status_of(kind("")) < 600 for kind in MISTAKES)


def test_a_special_case_of_a_mistake_travels_as_what_is_in_the_table(failure):
    class SpecialError(errors.NotFoundError):
        pass

    seen = failure(SpecialError("gone"))

    assert seen.code() == code_of(SpecialError("gone")) == grpc.StatusCode.NOT_FOUND
    assert type(error_of(seen, "")) is errors.NotFoundError


def test_a_bug_is_internal_says_nothing_and_is_in_the_log(failure, caplog):
    with caplog.at_level(logging.ERROR):
        seen = failure(KeyError("/secret/path"))

    assert (seen.code(), seen.details()) == (grpc.StatusCode.INTERNAL, BUG)
    assert not [e for e in seen.trailing_metadata() or () if "voxkin" in e.key]
    assert "/secret/path" in caplog.text
    assert isinstance(error_of(seen, "here:1"), errors.UnavailableError)


def test_a_message_that_is_too_long_for_a_header_is_cut(failure):
    seen = failure(errors.NotFoundError("x" * 10**6))

    assert seen.code() == grpc.StatusCode.NOT_FOUND
    assert len(seen.details()) == 2000
    assert seen.details().endswith("…")


def test_a_call_that_nobody_waits_for_is_not_begun():
    begun = []

    class Context:
        def is_active(self):
            return False

        def set_trailing_metadata(self, entries):
            pass

        def abort(self, code, details):
            raise ConnectionAbortedError(code)

    class Servicer:
        @reports_errors
        def Call(self, request, context):
            begun.append(request)

    with pytest.raises(ConnectionAbortedError):
        Servicer().Call("request", Context())

    assert begun == []


def test_no_server_is_unavailable_and_how_to_start_one_is_said():
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/t.T/Unary")(b"", timeout=5)

    error = error_of(raised.value, "127.0.0.1:1")

    assert isinstance(error, errors.UnavailableError)
    assert "voxkin serve" in str(error)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("cannot read /srv/data/em.atlas/maps/p.zarr: gone", "cannot read p.zarr: gone"),
        ("make it with: voxkin project '/srv/em.atlas'", "make it with: voxkin project 'em.atlas'"),
        ("file:///srv/em/volume.zarr is gone", "volume.zarr is gone"),
        ("s3://bucket/em/volume.zarr is gone", "s3://bucket/em/volume.zarr is gone"),
        ("0.5 nm/voxel along x/y, ../../p", "0.5 nm/voxel along x/y, ../../p"),
    ],
)
def test_callers_are_not_told_where_files_lie(said, told):
    assert message_of(errors.DataError(said)) == told
