"""Logs as lines of JSON, for programs that gather them: each event, and each call without payload.

Of a call they hold its method, status, duration and the name of its token: never the token, a
place, a vector, voxels or labels.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

calls = logging.getLogger("voxkin.calls")
"""Gets a record of every call that ended."""


class JsonFormatter(logging.Formatter):
    """One line of JSON per record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "call", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_as_json(stream: TextIO | None = None) -> None:
    """Makes everything that is logged from now on a line of JSON, calls included.

    Args:
        stream: where to; stderr where it is not given.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in ("serve", calls.name):
        logging.getLogger(name).setLevel(logging.INFO)


def log_call(*, protocol: str, method: str, status: str, seconds: float, token: str) -> None:
    """Notes a call that ended.

    Args:
        protocol: grpc or http.
        method: of gRPC with its service, or of HTTP with its route: nothing that a caller chooses.
        status: name of the gRPC status, or number of the HTTP one.
        seconds: from its start to its end.
        token: name of the token; empty without one.
    """
    if calls.isEnabledFor(logging.INFO):
        call = {
            "protocol": protocol,
            "method": method,
            "status": status,
            "ms": round(seconds * 1000, 3),
            "token": token,
        }
        calls.info("call", extra={"call": call})
