"""Lets gRPC calls in: checks the caller's token and its limits, and notes the call in the log."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc

from embed.errors import VoxkinError
from serve.door import Door
from serve.logs import log_call
from serve.status import abort_call
from serve.tokens import Grant, Scope

_READ = (
    "voxkin.v1.SearchService",
    "voxkin.v1.AtlasService",
    "grpc.reflection.v1alpha.ServerReflection",
    "grpc.health.v1.Health",
)
_METHODS: dict[str, Scope] = {
    "/voxkin.v1.ProbeService/List": "read",
    "/voxkin.v1.ProbeService/Train": "write",
    "/voxkin.v1.ProbeService/Apply": "write",
}
# A load balancer asks this and has no token. `Watch` holds a call for as long as it likes, so it
# needs one.
_OPEN = "/grpc.health.v1.Health/Check"

_MAKE = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def scope_of(method: str) -> Scope:
    """The scope that a gRPC method needs; admin, where nobody decided.

    >>> scope_of("/voxkin.v1.SearchService/Embed"), scope_of("/voxkin.v1.ProbeService/Train")
    ('read', 'write')
    """
    service = method.split("/")[1] if method.startswith("/") else ""
    return _METHODS.get(method, "read" if service in _READ else "admin")


class AdmittingInterceptor(grpc.ServerInterceptor):
    """Refuses calls that the door does not let in, before their message is read."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = continuation(details)
        if details.method == _OPEN:
            return handler
        # What this version does not know needs a token, but no scope, to be told so.
        scope = "read" if handler is None else scope_of(details.method)
        metadata = details.invocation_metadata
        shown = [str(value) for key, value in metadata if key == "authorization"]
        try:
            grant = self._door.admit(shown[0] if shown else None, scope)
        except VoxkinError as error:
            return _refusing(error, details.method if handler else "unknown")
        if handler is None:
            return None
        return self._admitted(handler, details.method, grant)

    def _admitted(self, handler: Any, method: str, grant: Grant) -> Any:
        streams = handler.response_streaming
        call = (
            (handler.stream_stream if streams else handler.stream_unary)
            if handler.request_streaming
            else (handler.unary_stream if streams else handler.unary_unary)
        )
        if getattr(call, "experimental_non_blocking", False):
            return handler  # Health's Watch, which must not be made to hold a thread

        def unary(request: object, context: grpc.ServicerContext) -> object:
            with self._noted(method, grant, context):
                return call(request, context)

        def streaming(request: object, context: grpc.ServicerContext) -> Iterator[object]:
            with self._noted(method, grant, context):
                yield from call(request, context)

        return _MAKE[handler.request_streaming, streams](
            streaming if streams else unary,
            handler.request_deserializer,
            handler.response_serializer,
        )

    @contextlib.contextmanager
    def _noted(self, method: str, grant: Grant, context: Any) -> Iterator[None]:
        begun, code = time.perf_counter(), grpc.StatusCode.UNKNOWN
        try:
            with contextlib.ExitStack() as spent:
                try:
                    spent.enter_context(self._door.spending(grant))
                except VoxkinError as error:
                    abort_call(error, method, context)
                yield
            code = grpc.StatusCode.OK
        except GeneratorExit:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            log_call(
                protocol="grpc",
                method=method,
                status=(context.code() or code).name,
                seconds=time.perf_counter() - begun,
                token=grant.name,
            )


def _refusing(error: VoxkinError, method: str) -> Any:
    """A handler that refuses without waiting for a message, whatever kind the method is."""

    def refuse(_: object, context: grpc.ServicerContext) -> NoReturn:
        try:
            abort_call(error, method, context)
        finally:
            _note_refusal(method, context)

    return grpc.stream_stream_rpc_method_handler(refuse)


def _note_refusal(method: str, context: Any) -> None:
    log_call(protocol="grpc", method=method, status=context.code().name, seconds=0.0, token="")
