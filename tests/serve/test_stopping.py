"""Tests of serve/stopping.py, with signals that this process sends to itself."""

import os
import signal
import threading
import time

import pytest

from serve.stopping import Stopped, arrivals, held, stoppable

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def _clean_up_after(number: int, cleaned: list[str]) -> None:
    try:
        signal.raise_signal(number)
        cleaned.append("not")
    except KeyboardInterrupt:
        cleaned.append("up")
        raise


def _start_a_library() -> None:
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt:
        raise ImportError("an extension failed to start") from None


def _hold(number: int, seen: list[str]) -> None:
    with held():
        os.kill(os.getpid(), number)
        seen.append("the end of the block")


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_raises_a_request_with_the_exit_code_that_shells_know(number, code):
    with pytest.raises(Stopped) as request, stoppable():
        signal.raise_signal(number)

    assert request.value.exit_code == code
    assert "same command" in str(request.value)


def test_what_cleans_up_after_ctrl_c_cleans_up_after_sigterm():
    cleaned: list[str] = []

    with pytest.raises(Stopped), stoppable():
        _clean_up_after(signal.SIGTERM, cleaned)

    assert cleaned == ["up"]


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number, _ in SIGNALS]

    with stoppable():
        pass

    assert [signal.getsignal(number) for number, _ in SIGNALS] == before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_that_a_library_makes_of_a_request_is_still_a_request():
    with pytest.raises(Stopped) as request, stoppable():
        _start_a_library()

    assert request.value.exit_code == 143


def test_an_error_without_a_request_is_an_error():
    with pytest.raises(ImportError), stoppable():
        raise ImportError("an extension failed to start")


def test_signals_wait_while_they_are_held():
    seen: list[str] = []

    with pytest.raises(Stopped), stoppable():
        _hold(signal.SIGTERM, seen)

    assert seen


def test_arrivals_tell_what_somebody_else_handled():
    handled = []
    before = signal.signal(signal.SIGTERM, lambda number, _: handled.append(number))
    try:
        with arrivals() as arrived:
            nothing = arrived()
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0)
            numbers = arrived()
    finally:
        signal.signal(signal.SIGTERM, before)

    assert nothing == b""
    assert numbers == bytes([signal.SIGTERM])
    assert handled == [signal.SIGTERM]


def test_outside_the_main_thread_nothing_changes():
    told = []

    def work() -> None:
        with stoppable(), arrivals() as arrived:
            told.append(arrived())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert told == [b""]
