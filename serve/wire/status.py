"""Errors as gRPC and HTTP statuses, and statuses as errors again: the only place that knows both.

The message of a caller's mistake travels as the status's details and the name of its class in the
trailing metadata, so that the client raises what the server raised. A bug travels as INTERNAL
with nothing of what it said; that is in the server's log.
"""

import functools
import inspect
import logging
import math
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import grpc

from embed import errors
from embed.errors import VoxkinError
from serve.gate.caller import Waiting

log = logging.getLogger(__name__)

Method = TypeVar("Method", bound=Callable[..., Any])

Code = grpc.StatusCode

# The most special class of an error that is named here decides.
CODES: dict[type[VoxkinError], grpc.StatusCode] = {
    errors.RequestError: Code.INVALID_ARGUMENT,
    errors.ConfigError: Code.INVALID_ARGUMENT,
    errors.AlignmentError: Code.INVALID_ARGUMENT,
    errors.DataError: Code.FAILED_PRECONDITION,
    errors.VolumeError: Code.FAILED_PRECONDITION,
    errors.MismatchError: Code.FAILED_PRECONDITION,
    errors.IncompleteError: Code.FAILED_PRECONDITION,
    errors.ConflictError: Code.FAILED_PRECONDITION,
    errors.OutOfBoundsError: Code.OUT_OF_RANGE,
    errors.NotFoundError: Code.NOT_FOUND,
    errors.StorageError: Code.RESOURCE_EXHAUSTED,
    errors.BusyError: Code.RESOURCE_EXHAUSTED,
    errors.QuotaError: Code.RESOURCE_EXHAUSTED,
    errors.UnauthenticatedError: Code.UNAUTHENTICATED,
    errors.ForbiddenError: Code.PERMISSION_DENIED,
    errors.UnavailableError: Code.UNAVAILABLE,
    errors.MissingExtraError: Code.UNIMPLEMENTED,
    VoxkinError: Code.FAILED_PRECONDITION,
}
_HTTP: dict[grpc.StatusCode, HTTPStatus] = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
}
# What a status without the name of a class means: it came from gRPC itself.
_ERRORS: dict[grpc.StatusCode, type[VoxkinError]] = {
    Code.INVALID_ARGUMENT: errors.RequestError,
    Code.OUT_OF_RANGE: errors.OutOfBoundsError,
    Code.NOT_FOUND: errors.NotFoundError,
    Code.FAILED_PRECONDITION: errors.MismatchError,
    Code.RESOURCE_EXHAUSTED: errors.BusyError,
    Code.UNAUTHENTICATED: errors.UnauthenticatedError,
    Code.PERMISSION_DENIED: errors.ForbiddenError,
}
_NAMES = {kind.__name__: kind for kind in CODES}
_KEY = "voxkin-error"
# Beside a used up quota: whole seconds until the next call has a chance, as in HTTP's header.
RETRY_AFTER = "retry-after"
# What gRPC says of a handshake that failed, in words that differ between its versions.
_TLS = re.compile(r"handshake|certificate|SSL_|TLS|hostname", re.IGNORECASE)
_FOLDERS = re.compile(r"(?:file://|(?<![\w.:/]))/(?:[^/\s'\"]+/)+")
# Headers together may hold 8 KiB everywhere; a refused name may be as long as a message.
_DETAILS = 2000
BUG = "internal error; the server's log says more"
"""All that a caller is told of a bug."""


def code_of(error: VoxkinError) -> grpc.StatusCode:
    """The status of a caller's mistake."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def http_status_of(error: VoxkinError) -> int:
    """The HTTP status of a caller's mistake."""
    return _HTTP[code_of(error)].value


def message_of(error: VoxkinError) -> str:
    """What a caller is told: without paths, and cut to what fits in a header."""
    # Where files lie is for the log, and no business of a caller: of a path the name is told.
    text = _FOLDERS.sub("", str(error))
    return text if len(text) <= _DETAILS else f"{text[: _DETAILS - 1]}…"


def reports_errors(method: Method) -> Method:
    """Wraps a method of a servicer, unary or streaming: errors abort the call with their status.

    A call whose caller has gone while it waited for a thread is not begun, and what takes long asks
    between its parts; see `serve.gate.caller`.
    """

    def unary(self: object, request: object, context: grpc.ServicerContext) -> object:
        try:
            with Waiting(context.is_active):
                return method(self, request, context)
        except Exception as error:
            abort_call(error, method.__qualname__, context)

    def streaming(self: object, request: object, context: grpc.ServicerContext) -> Iterator[object]:
        try:
            with Waiting(context.is_active):
                yield from method(self, request, context)
        except Exception as error:
            abort_call(error, method.__qualname__, context)

    wrapped = streaming if inspect.isgeneratorfunction(method) else unary
    return functools.update_wrapper(wrapped, method)  # type: ignore[return-value]  # same signature


def abort_call(error: Exception, name: str, context: grpc.ServicerContext) -> NoReturn:
    """Ends a call with the status of an error; what is no mistake of the caller is logged.

    Args:
        name: of the call, for the log.
    """
    if not isinstance(error, VoxkinError):
        log.error("%s failed", name, exc_info=error)
        context.abort(Code.INTERNAL, BUG)
    kind = next(kind.__name__ for kind in type(error).__mro__ if kind in CODES)
    context.set_trailing_metadata(((_KEY, kind), *headers_of(error).items()))
    context.abort(code_of(error), message_of(error))


def headers_of(error: VoxkinError) -> dict[str, str]:
    """What travels beside the message of a mistake: when to try again, where that is known."""
    if not isinstance(error, errors.QuotaError):
        return {}
    return {RETRY_AFTER: str(math.ceil(error.retry_after_s))}


def error_of(failure: grpc.RpcError, address: str) -> VoxkinError:
    """The error that a failed call is to its caller: the one that the server raised, if it did.

    Args:
        failure: what the call raised.
        address: where the server was expected.
    """
    code, details = failure.code(), failure.details() or ""
    beside = {entry.key: str(entry.value) for entry in failure.trailing_metadata() or ()}
    named = beside.get(_KEY)
    if named == errors.QuotaError.__name__:
        wait = beside.get(RETRY_AFTER, "")
        return errors.QuotaError(details, float(wait) if wait.isdecimal() else 0.0)
    if named in _NAMES:
        return _NAMES[named](details)
    if code == Code.UNAVAILABLE and _TLS.search(details):
        return errors.UnavailableError(
            f"no secure connection to {address}: its certificate is not trusted, has expired or is "
            "for another name, or it asks for one of ours; check the authority (ca), the client's "
            "certificate and the name of the server"
        )
    if code == Code.UNAVAILABLE:
        return errors.UnavailableError(
            f"no server answers at {address}; start one with: voxkin serve ATLAS --grpc {address}"
        )
    if code == Code.DEADLINE_EXCEEDED:
        return errors.UnavailableError(f"the server at {address} did not answer in time")
    if code == Code.UNIMPLEMENTED:
        return errors.UnavailableError(
            f"the server at {address} does not know this call: it is of another version"
        )
    if code == Code.RESOURCE_EXHAUSTED and "larger than max" in details:
        return errors.RequestError(f"a message is larger than the service takes: {details}")
    kind = _ERRORS.get(code, errors.UnavailableError)
    return kind(f"the server at {address} refused: {details or code.name}")
