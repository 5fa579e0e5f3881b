"""Tests of embed/reporting/starvation.py: only waiting of an idle device counts."""

import time

import pytest

from embed.reporting import starvation
from embed.reporting.starvation import Starvation

STEPS, LONG = 4, 0.05


def slow(seconds):
    """Batches that take a while to read."""
    for number in range(STEPS):
        time.sleep(seconds)
        yield number


@pytest.fixture
def device(monkeypatch):
    """Work given as a time at which it is done, rather than as an array."""

    def wait(until):
        time.sleep(max(0.0, until - time.monotonic()))

    monkeypatch.setattr(starvation.jax, "block_until_ready", wait)


def share(read_s, compute_s):
    free = 0.0
    with Starvation() as measured:
        for _ in measured.timed(slow(read_s)):
            free = max(free, time.monotonic()) + compute_s
            measured.given(free)
        time.sleep(max(0.0, free - time.monotonic()))
        return measured.share()


def test_a_device_that_is_done_at_once_waits_for_data_all_the_time(device):
    assert share(LONG, 0.0) > 0.9


def test_reading_while_the_device_computes_is_no_waiting(device):
    # Only the first batch is waited for.
    assert share(LONG, 3 * LONG) < 0.25


def test_only_what_reading_takes_longer_counts(device):
    assert share(2 * LONG, LONG) == pytest.approx(5 / 9, abs=0.12)


def test_batches_pass_through_and_the_clock_starts_anew():
    with Starvation() as measured:
        assert list(measured.timed(iter("abc"))) == ["a", "b", "c"]
        measured.share()

        assert measured.share() == 0
