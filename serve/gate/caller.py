"""Whether anyone still waits for the answer: long work asks between its parts.

The server says once how to know, in the context of the call, so that what lies between it and the
work need not pass it on. Where nobody did, as in a program that uses the library, work goes on.
"""

from collections.abc import Callable
from contextvars import ContextVar

from embed.errors import UnavailableError

_waits: ContextVar[Callable[[], bool] | None] = ContextVar("waits", default=None)


class Waiting:
    """In this block, in this context, someone waits for the answer."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Callable[[], bool]) -> None:
        """Says how to ask.

        Args:
            asked: whether the caller is there and its deadline has not passed; called often.
        """
        self._asked = asked

    def __enter__(self) -> None:
        _require(self._asked)
        _waits.set(self._asked)

    def __exit__(self, *_: object) -> None:
        # Not what was there before: a generator that is given up may be closed in another context.
        _waits.set(None)


def require_caller() -> None:
    """Checks that someone waits.

    Raises:
        UnavailableError: the caller has gone, or its deadline has passed.
    """
    asked = _waits.get()
    if asked is not None:
        _require(asked)


def _require(asked: Callable[[], bool]) -> None:
    if not asked():
        raise UnavailableError("the caller has gone, or its deadline has passed")
