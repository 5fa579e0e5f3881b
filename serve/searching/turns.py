"""Turns: threads that share an interpreter compute a few at a time.

Python runs one thread at a time, but lets go at every operation on a large array. Threads that all
search then wake each other again and again in a search, and find the caches cold. So there are a
few turns, one more than are needed for Python to be busy while FAISS searches: a thread that has
one does a task and then the next, without a pause where tasks are waiting. Who finds that its task
will take long, or will wait for a disk, stands aside: it goes on without its turn, which another
thread takes. Who does not find that out, such as a call whose message is long in coming, is put
aside after a tenth of a second.
"""

import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")

_PATIENCE_S = 0.1

_mine = threading.local()


class _Turn:
    """The turn that one thread has, or had."""

    def __init__(self, turns: threading.Semaphore) -> None:
        self._turns, self._lock = turns, threading.Lock()
        self.held, self.since = False, math.inf

    def take(self) -> None:
        """Waits for it."""
        self._turns.acquire()
        self.held = True

    def give(self) -> None:
        """Gives it to another thread, if it was not given before; by any thread."""
        with self._lock:
            if self.held:
                self.held = False
                self._turns.release()


def stand_aside() -> None:
    """Goes on with the task of this thread without a turn, if it has one."""
    turn: _Turn | None = getattr(_mine, "turn", None)
    if turn is not None:
        turn.give()


class TurnPool(Executor):
    """Threads that do tasks in the order in which they come, so many at a time."""

    def __init__(self, turns: int, threads: int, name: str = "turn") -> None:
        """Starts the threads.

        Args:
            turns: tasks at a time, besides those that stand aside.
            threads: tasks at a time with those.
            name: of the threads.
        """
        shared = threading.Semaphore(turns)
        self._turns = [_Turn(shared) for _ in range(threads)]
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed, self._ended = False, threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(turn,), name=f"{name}_{number}", daemon=True)
            for number, turn in enumerate(self._turns)
        ]
        self._threads.append(
            threading.Thread(target=self._watch, name=f"{name}_watch", daemon=True)
        )
        for thread in self._threads:
            thread.start()

    def submit(
        self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        """Does a task when it is its turn.

        Raises:
            RuntimeError: after `shutdown`.
        """
        future: Future[Result] = Future()

        def task() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._closing:
            if self._closed:
                raise RuntimeError("no task is taken after shutdown")
            self._tasks.put(task)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more tasks, and ends the threads once those that wait are done.

        Args:
            wait: until then.
            cancel_futures: is not looked at: whoever asked has gone, which tasks find out.
        """
        with self._closing:
            self._closed = True
            self._tasks.put(None)
            self._ended.set()
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self, turn: _Turn) -> None:
        _mine.turn = turn
        while True:
            turn.take()
            while turn.held:
                task = self._tasks.get()
                if task is None:
                    self._tasks.put(None)  # for the others
                    turn.give()
                    return
                turn.since = time.monotonic()
                task()
                turn.since = math.inf
                del task  # with what it answered, while this thread waits

    def _watch(self) -> None:
        while not self._ended.wait(_PATIENCE_S / 2):
            before = time.monotonic() - _PATIENCE_S
            for turn in self._turns:
                if turn.since < before:
                    turn.give()
