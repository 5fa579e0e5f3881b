"""Lets requests of the page in: by a header, or by the cookie that the page asks a token for once.

The files of the page hold nothing of an atlas and are shown to everybody. Everything else needs a
token where the server asks for one: to look, `read`; to change what is kept, `write`.
"""

import contextlib
import re
import time
from collections.abc import Collection, Iterable

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, Response

from embed.errors import VoxkinError
from serve.gate.door import Door
from serve.gate.guard import App, Message, Receive, Send
from serve.gate.guard import Scope as Connection
from serve.gate.logs import log_call
from serve.gate.tokens import Grant, Scope
from serve.wire.status import headers_of, http_status_of, message_of

COOKIE = "voxkin-token"
RELOAD = "/api/reload"
SESSION = "/api/session"
# Asked by POST since examples are too long for an address; they change nothing.
_QUESTIONS = re.compile(r"/api/atlases/[^/]+/(?:find|similarity|projection/values)")


class Admitted:
    """Middleware that refuses what the door does not let in, and notes requests in the log."""

    def __init__(self, app: App, door: Door, open_paths: Collection[str]) -> None:
        """Wraps an application.

        Args:
            open_paths: exact paths that need no token.
        """
        self._app = app
        self._door = door
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        begun, status, token = time.perf_counter(), 500, ""

        async def send_noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            with contextlib.ExitStack() as spent:
                if scope["path"] not in self._open:
                    try:
                        grant = self._grant(scope)
                        spent.enter_context(self._door.spending(grant))
                        token = grant.name
                    except VoxkinError as error:
                        await _refusal(error)(scope, receive, send_noted)
                        return
                await self._app(scope, receive, send_noted)
        finally:
            route = getattr(scope.get("route"), "path", "page")
            log_call(
                protocol="http",
                method=f"{scope['method']} {route}",
                status=str(status),
                seconds=time.perf_counter() - begun,
                token=token,
            )

    def _grant(self, scope: Connection) -> Grant:
        headers = Headers(scope=scope)
        shown = headers.get("authorization") or _from_cookie(headers)
        return self._door.admit(shown, scope_of(scope["method"], scope["path"]))


def scope_of(method: str, path: str) -> Scope:
    """The scope that a request needs.

    >>> scope_of("GET", "/api/atlases/em/labels"), scope_of("POST", "/api/atlases/em/labels")
    ('read', 'write')
    >>> scope_of("POST", "/api/atlases/em/find"), scope_of("POST", "/api/reload")
    ('read', 'admin')
    """
    if path == RELOAD:
        return "admin"
    looks = method in ("GET", "HEAD", "OPTIONS") or _QUESTIONS.fullmatch(path)
    return "read" if looks else "write"


def session_cookie(token: str, *, secure: bool) -> Response:
    """An answer that makes the browser show a token from now on, until it is closed."""
    answer = JSONResponse({})
    # Scripts cannot read it, and requests from other sites do not carry it.
    answer.set_cookie(COOKIE, token, path="/", secure=secure, httponly=True, samesite="strict")
    return answer


def _from_cookie(headers: Headers) -> str | None:
    token = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return f"Bearer {token}" if token else None


def _refusal(error: VoxkinError) -> Response:
    status = http_status_of(error)
    challenge = {"www-authenticate": "Bearer"} if status == 401 else {}
    return JSONResponse({"error": message_of(error)}, status, challenge | headers_of(error))


def page_paths(names: Iterable[str]) -> set[str]:
    """The open paths of a page made of files of these names."""
    return {"/", "/healthz", SESSION, *(f"/{name}" for name in names)}
