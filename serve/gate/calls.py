"""Follows gRPC calls that were let in: what they spend, how many, how long, and how they ended."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from embed.errors import RequestError, VoxkinError
from serve.gate.door import Door
from serve.gate.logs import log_call
from serve.gate.tokens import Grant
from serve.metrics import MethodCounters, Metrics
from serve.searching.turns import stand_aside
from serve.wire.status import abort_call

_MAKE = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}

# What is mostly answered in milliseconds; a search that is not stands aside itself.
_QUICK = {
    "/grpc.health.v1.Health/Check",
    "/voxkin.v1.AtlasService/Describe",
    "/voxkin.v1.AtlasService/List",
    "/voxkin.v1.SearchService/FindSimilar",
}


class Follower:
    """Follows the calls of one method. Safe to use from many threads.

    All that can be known before a call is found here, once: an empty call costs gRPC itself a
    quarter of a millisecond, and should not cost much more.
    """

    def __init__(
        self, method: str, door: Door, metrics: Metrics, grant: ContextVar[Grant], *, logs: bool
    ) -> None:
        """Prepares to follow.

        Args:
            method: its path.
            door: where callers spend what they may.
            metrics: where calls are counted.
            grant: whose call it is, in the context of the call.
            logs: whether each call is noted in the log.
        """
        self.method, self.door, self.logs = method, door, logs
        self.quick = method in _QUICK
        self.counters = MethodCounters(metrics, method)
        self._grant = grant

    def following(self, handler: Any) -> Any:
        """A handler that does what another one does, and is followed."""
        streams = handler.response_streaming
        call: Callable[..., Any] = (
            (handler.stream_stream if streams else handler.stream_unary)
            if handler.request_streaming
            else (handler.unary_stream if streams else handler.unary_unary)
        )
        if getattr(call, "experimental_thread_pool", None):
            return handler  # Health's Watch, which waits elsewhere, and has no end to be followed

        def unary(request: object, context: grpc.ServicerContext) -> object:
            if not self.quick:
                stand_aside()
            with _Followed(self, self._grant.get(), context) as followed:
                followed.spend(request)
                return call(request, context)

        def streaming(request: object, context: grpc.ServicerContext) -> Iterator[object]:
            stand_aside()
            with _Followed(self, self._grant.get(), context) as followed:
                followed.spend(request)
                yield from call(request, context)

        return _MAKE[handler.request_streaming, streams](
            streaming if streams else unary,
            _tolerant(handler.request_deserializer),
            handler.response_serializer,
        )


_MALFORMED = object()


def _tolerant(read: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Reads messages; what is none is left to the call: gRPC would make a bug of it, and log it."""

    def reading(content: bytes) -> object:
        try:
            return read(content)
        except DecodeError:
            return _MALFORMED

    return reading


class _Followed:
    """One call."""

    __slots__ = ("_begun", "_by", "_context", "_grant", "_spending")

    def __init__(self, by: Follower, grant: Grant, context: Any) -> None:
        self._by, self._grant, self._context = by, grant, context
        self._spending: AbstractContextManager[None] | None = None

    def __enter__(self) -> "_Followed":
        self._by.counters.begin()
        self._begun = time.perf_counter()
        return self

    def spend(self, request: object) -> None:
        """Takes the call from what its caller may ask for, or aborts it."""
        try:
            self._spending = self._by.door.spending(self._grant)
            if request is _MALFORMED:
                raise RequestError("the request is no message of the type that this method takes")
        except VoxkinError as error:
            abort_call(error, self._by.method, self._context)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._spending is not None:
            self._spending.__exit__(None, None, None)
        code = self._context.code() or _code_of(kind)
        seconds = time.perf_counter() - self._begun
        self._by.counters.end(code.name, seconds)
        if self._by.logs:
            log_call(
                protocol="grpc",
                method=self._by.method,
                status=code.name,
                seconds=seconds,
                token=self._grant.name,
            )


def _code_of(kind: type[BaseException] | None) -> grpc.StatusCode:
    if kind is None:
        return grpc.StatusCode.OK
    return grpc.StatusCode.CANCELLED if kind is GeneratorExit else grpc.StatusCode.UNKNOWN
