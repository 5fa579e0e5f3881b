"""Runs items in lanes: workers that take one item at a time, so that a death has one culprit.

In a pool that several items share, the death of one worker takes the others' items with it, and an
item that kills its worker each time would drag the innocent along until they are given up too.
"""

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Generic, Protocol, runtime_checkable

from embed.engines.engine import RETRIES, Failure, Item, Result, given_up, unstarted


@runtime_checkable
class Lane(Protocol):
    """One worker.

    Attributes:
        ready: done when the worker can take an item.
        death: what a future of this lane raises if the worker died.
    """

    ready: Future[Any]
    death: type[Exception]

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Any]:
        """Has the worker `attempt` the function."""
        ...

    def close(self) -> None:
        """Ends the worker, in the middle of an item if need be."""
        ...


@dataclasses.dataclass
class _Task(Generic[Item]):
    item: Item
    deaths: int = 0


def run_in_lanes(
    open_lane: Callable[[], Lane],
    count: int,
    function: Callable[[Item], Result],
    items: Iterable[Item],
) -> Iterator[tuple[Item, Result | Failure]]:
    """An engine's `run`, over `count` lanes; a lane whose worker died is opened anew.

    Raises:
        UnavailableError: the workers die before they take an item.
    """
    fresh = (_Task(item) for item in items)
    waiting = deque(itertools.islice(fresh, count))
    lanes: dict[Future[Any], tuple[Lane, _Task[Item] | None]] = {}

    def start() -> None:
        lane = open_lane()
        lanes[lane.ready] = lane, None

    def some_wait() -> bool:
        if not waiting:
            waiting.extend(itertools.islice(fresh, 1))
        return bool(waiting)

    def feed(lane: Lane) -> None:
        if some_wait():
            task = waiting.popleft()
            lanes[lane.submit(function, task.item)] = lane, task
        else:
            lane.close()

    try:
        for _ in range(len(waiting)):
            start()
        # A lane that is not ready by the end, as for want of a machine that was lost, is let go.
        while some_wait() or any(task for _, task in lanes.values()):
            future = wait(lanes, return_when=FIRST_COMPLETED).done.pop()
            lane, task = lanes.pop(future)
            error = future.exception()
            if error is None:
                feed(lane)
                if task is not None:
                    yield task.item, future.result()
                continue
            lane.close()
            if not isinstance(error, lane.death):
                raise error
            if task is not None:
                task.deaths += 1
                start()
                if task.deaths <= RETRIES:
                    waiting.append(task)
                else:
                    yield task.item, given_up(error)
            elif not lanes:
                raise unstarted(error)
    finally:
        for lane, _ in lanes.values():
            lane.close()
