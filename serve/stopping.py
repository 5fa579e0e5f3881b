"""Stopping on request: Ctrl-C and SIGTERM end a verb alike, each with its own exit code."""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GO_ON = "stopped; give the same command again to go on"


class Stopped(KeyboardInterrupt):
    """A signal asked to stop. What cleans up after Ctrl-C cleans up after this."""

    def __init__(self, number: int, message: str = _GO_ON):
        super().__init__(message)
        self.exit_code = 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Makes SIGINT and SIGTERM raise `Stopped` in the block, where the main thread runs it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    requests: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        requests.append(number)
        raise Stopped(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    # What a shell runs in the background ignores Ctrl-C, and shall.
    changed = {number: old for number, old in before.items() if old != signal.SIG_IGN}
    for number in changed:
        signal.signal(number, stop)
    try:
        yield
    except Exception as error:
        if requests:  # and compiled code, such as a library's start, made another error of it
            raise Stopped(requests[0]) from error
        raise
    finally:
        for number, old in changed.items():
            signal.signal(number, old)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Keeps signals waiting until the block ends: libraries do not bear them while they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
