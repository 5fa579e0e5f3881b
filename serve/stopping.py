"""Stopping on request: Ctrl-C and SIGTERM end a verb alike, each with its own exit code."""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_GO_ON = "stopped; give the same command again to go on"


class Stopped(KeyboardInterrupt):
    """A signal asked to stop. What cleans up after Ctrl-C cleans up after this."""

    def __init__(self, number: int, message: str = _GO_ON):
        super().__init__(message)
        self.exit_code = 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Makes SIGINT and SIGTERM raise `Stopped` in the block, where the main thread runs it."""
    requests: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        requests.append(number)
        raise Stopped(number)

    try:
        with _handled_by(stop):
            yield
    except Exception as error:
        if requests:  # and compiled code, such as a library's start, made another error of it
            raise Stopped(requests[0]) from error
        raise


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keeps signals waiting until the block ends: libraries do not bear them while they start."""
    waiting: list[int] = []
    with _handled_by(lambda number, _frame: waiting.append(number)):
        yield
    for number in waiting[:1]:
        signal.raise_signal(number)


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What a shell runs in the background ignores Ctrl-C, and shall.
    changed = {number: old for number, old in before.items() if old != signal.SIG_IGN}
    for number in changed:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in changed.items():
            signal.signal(number, old)


@contextlib.contextmanager
def arrivals() -> Iterator[Callable[[], bytes]]:
    """Tells which signals arrive in the block, for work that handles them and does not say which.

    Yields:
        A function that gives the numbers of those that arrived since it was last called.
    """
    if threading.current_thread() is not threading.main_thread():
        yield bytes
        return
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno())

        def arrived() -> bytes:
            with contextlib.suppress(BlockingIOError):
                return reader.recv(64)
            return b""

        try:
            yield arrived
        finally:
            signal.set_wakeup_fd(before)
