"""Parts of an index that did not answer: noted where that is found out, flagged in the answer.

Whoever makes the answer says that it looks out for gaps, in the context of the call, so that what
lies between it and the index need not pass them on. Where nobody looks, a gap is an error: no
answer is short in silence.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

from embed.errors import UnavailableError
from serve.hits import SearchResult

Result = TypeVar("Result", bound=SearchResult)

_noted: ContextVar[list[str] | None] = ContextVar("gaps", default=None)


@contextlib.contextmanager
def looking_for_gaps() -> Iterator[list[str]]:
    """A list that fills with what did not answer in this block, for people."""
    found: list[str] = []
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


def note_gap(gap: str) -> None:
    """Notes that a part did not answer.

    Raises:
        UnavailableError: nobody looks for gaps.
    """
    noted = _noted.get()
    if noted is None:
        raise UnavailableError(gap)
    if gap not in noted:  # several searches of one call may miss the same part
        noted.append(gap)


def flagged(result: Result, gaps: Sequence[str]) -> Result:
    """The result, said to be incomplete and not exact where there were gaps."""
    if not gaps:
        return result
    missing = "; ".join(gaps)
    return dataclasses.replace(
        result,
        hits=tuple(dataclasses.replace(hit, exact=False) for hit in result.hits),
        complete=False,
        reason=f"{missing}; {result.reason}" if result.reason else missing,
        exact=False,
        missing=missing,
    )
