"""What every engine is: something that runs a function over many items and says how each ended."""

import dataclasses
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from embed.errors import UnavailableError, VoxkinError

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRIES = 3
"""How often an item is tried again whose worker died: what kills four is the item, not the worker.
"""


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why an item has no result.

    Attributes:
        reason: in one line.
        error: what the function raised, if that was a mistake that the caller can mend: to raise
            it again stops the job where it is plain that the other items would fare no better.
    """

    reason: str
    error: VoxkinError | None = None


@runtime_checkable
class Engine(Protocol):
    """Runs a function over items in other processes, here or on other machines."""

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """Yields each item with its result, as they come.

        Items are taken from `items` as workers need them. One whose worker dies is tried again, at
        most `RETRIES` times, so the function may run more than once for an item, even at the same
        time. Closing the iterator ends the workers.

        Args:
            function: of a module that the workers can import, or a `functools.partial` of one.
            items: small and picklable: places and paths, not arrays. The same holds for results.

        Raises:
            UnavailableError: there is nowhere to run.
        """
        ...


def attempt(function: Callable[[Item], Result], item: Item) -> Result | Failure:
    """Calls the function in a worker; what it raises becomes a Failure, which always travels."""
    try:
        return function(item)
    except VoxkinError as error:
        return Failure(_first_line(error), error)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        where = f"{Path(place.filename).name}:{place.lineno}"
        return Failure(f"{kind}: {_first_line(error)} ({where})")


def given_up(last: BaseException) -> Failure:
    """What becomes of an item that cost `RETRIES` + 1 workers.

    Args:
        last: how the engine put the last death.
    """
    times = f"its worker died {RETRIES + 1} times, as it does for want of memory"
    return Failure(f"{times}; at last: {_first_line(last)}")


def unstarted(error: BaseException) -> UnavailableError:
    """What to raise where workers fail before they come to an item.

    Args:
        error: how the engine put it; a traceback ends with what matters.
    """
    last = str(error).strip().rpartition("\n")[2]
    return UnavailableError(
        f"no worker can begin: {last}; voxkin and what it needs must be installed wherever they run"
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
