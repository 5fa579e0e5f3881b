"""Lets gRPC calls in: checks the caller's token, and has the call followed to its end."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NoReturn

import grpc

from embed.errors import VoxkinError
from serve.gate.calls import Follower
from serve.gate.door import Door
from serve.gate.logs import log_call
from serve.gate.tokens import EVERYBODY, Grant, Scope
from serve.metrics import Metrics
from serve.wire.status import abort_call

_READ = (
    "voxkin.v1.SearchService",
    "voxkin.v1.AtlasService",
    "grpc.reflection.v1alpha.ServerReflection",
    "grpc.health.v1.Health",
)
_METHODS: dict[str, Scope] = {
    "/voxkin.v1.ProbeService/List": "read",
    "/voxkin.v1.ProbeService/Suggest": "read",
    "/voxkin.v1.ProbeService/Train": "write",
    "/voxkin.v1.ProbeService/Rollback": "write",
    "/voxkin.v1.ProbeService/Apply": "write",
    "/voxkin.v1.LabelService/ListSets": "read",
    "/voxkin.v1.LabelService/List": "read",
    "/voxkin.v1.LabelService/PutSet": "write",
    "/voxkin.v1.LabelService/Add": "write",
    "/voxkin.v1.LabelService/Remove": "write",
    "/voxkin.v1.LabelService/Undo": "write",
}
# A load balancer asks this and has no token. `Watch` holds a call for as long as it likes, so it
# needs one.
_OPEN = "/grpc.health.v1.Health/Check"

# gRPC runs a call's interceptor and its method in one context, in different threads.
_grant: ContextVar[Grant] = ContextVar("grant")


def scope_of(method: str) -> Scope:
    """The scope that a gRPC method needs; admin, where nobody decided.

    >>> scope_of("/voxkin.v1.SearchService/Embed"), scope_of("/voxkin.v1.ProbeService/Train")
    ('read', 'write')
    """
    service = method.split("/")[1] if method.startswith("/") else ""
    return _METHODS.get(method, "read" if service in _READ else "admin")


class AdmittingInterceptor(grpc.ServerInterceptor):
    """Refuses calls that the door does not let in, before their message is read."""

    def __init__(self, door: Door, metrics: Metrics) -> None:
        self._door, self._metrics = door, metrics
        # What calls of a method are given, and the scope they need; made when it is first called.
        self._known: dict[str, tuple[Any, Scope]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        method = details.method
        handler, scope = self._known.get(method) or self._look_up(continuation(details), method)
        if method == _OPEN:
            _grant.set(EVERYBODY)
            return handler
        metadata = details.invocation_metadata
        shown = [str(value) for key, value in metadata if key == "authorization"]
        try:
            _grant.set(self._door.admit(shown[0] if shown else None, scope))
        except VoxkinError as error:
            return _refusing(error, method if handler else "unknown")
        return handler

    def _look_up(self, handler: Any, method: str) -> tuple[Any, Scope]:
        if handler is None:
            # What this version does not know needs a token, but no scope, to be told so.
            return None, "read"
        follower = Follower(method, self._door, self._metrics, _grant, logs=method != _OPEN)
        known = follower.following(handler), scope_of(method)
        self._known[method] = known
        return known


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
