"""What keeps other web sites away from the page.

A page anywhere on the web can make the reader's browser ask `127.0.0.1`, directly or through a
name that it points there (DNS rebinding). So a request must name this machine, or a name that the
server was given, as its host, must not come from a page of another origin, and what is answered
may load nothing from elsewhere.
"""

import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from serve.address import is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:/@\s]+))(?::\d{1,5})?")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class OwnNamesOnly:
    """Middleware that answers only what was asked under a name of its own and by its own page."""

    def __init__(self, app: App, hosts: Collection[str] = ()) -> None:
        """Wraps an application.

        Args:
            hosts: names and addresses that it answers to besides those of this machine.
        """
        self._app = app
        self._hosts = tuple(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refused = self._refusal(headers.get("host", ""), headers.get("origin"), scope["scheme"])

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if refused is None:
            await self._app(scope, receive, send_guarded)
        else:
            status, text = refused
            await JSONResponse({"error": text}, status)(scope, receive, send_guarded)

    def _refusal(self, host: str, origin: str | None, scheme: str) -> tuple[int, str] | None:
        match = _HOST.fullmatch(host)
        name = (match["v6"] or match["name"]).lower() if match else ""
        if not name or not (is_loopback(name) or name in self._hosts):
            names = ["localhost", "127.0.0.1", "[::1]", *self._hosts]
            return 400, f"this server answers to {', '.join(names[:-1])} and {names[-1]} only"
        if origin is not None and origin.lower() != f"{scheme}://{host}".lower():
            return 403, "this server answers to its own page only"
        return None
