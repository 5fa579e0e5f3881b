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
CLIENT = "/ng/v/page/"
"""Where Neuroglancer's client lies; shown in a frame, by our own page only."""

PLOT = "/plot.html"
"""Where Plotly draws; likewise."""

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# It decodes chunks by WebAssembly and in workers, draws icons from strings, and packs annotations,
# as which it shows marks and labels, by functions that it writes itself, of numbers alone. Our own
# page may do none of that.
_CLIENT_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)
# Plotly writes functions for the graphics card, and styles. It has nobody to ask for anything.
_PLOT_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS = {
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
        policy = _policy(scope["path"])

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                guards = {"content-security-policy": policy, **_HEADERS}
                MutableHeaders(scope=message).update(guards)
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


def _policy(path: str) -> str:
    if path.startswith(CLIENT):
        return _CLIENT_POLICY
    return _PLOT_POLICY if path == PLOT else _PAGE_POLICY
