"""Bounds what a request may send: nobody fills the memory of a server with one."""

from starlette.exceptions import HTTPException

from serve.gate.guard import App, Message, Receive, Send
from serve.gate.guard import Scope as Connection

MAX_BODY = 2**20
"""Bytes of a request: ten thousand labels as JSON."""

MAX_FILE = 64 * 2**20
"""Bytes of a file that is sent, to the paths that take one."""

FILE_PATHS = ("/labels/import",)
"""How the paths end that files are sent to."""


class Bounded:
    """Middleware that answers 413 to what is too long.

    The rest is read and forgotten, up to the size of a file: who is still sending would otherwise
    see the connection break before the answer.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        limit = MAX_FILE if scope["path"].endswith(FILE_PATHS) else MAX_BODY
        read = 0

        async def receive_bounded() -> Message:
            nonlocal read
            while True:
                message = await receive()
                read += len(message.get("body", b""))
                ended = message["type"] != "http.request" or not message.get("more_body")
                if read <= limit:
                    return message
                if ended or read > limit + MAX_FILE:
                    raise HTTPException(413, f"a request may send {limit:,} bytes at most")

        await self._app(scope, receive_bounded, send)
