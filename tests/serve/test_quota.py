"""Tests of serve/gate/quota.py, with a clock that is set by hand."""

import contextlib

import pytest

from embed.errors import ConfigError, QuotaError
from serve.gate.quota import Allowance, Allowances, Limits


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def let_in(allowance, clock, lasts=0.0):
    """Whether a call is let in; it lasts so many seconds."""
    with contextlib.suppress(QuotaError), allowance.spending():
        clock.now += lasts
        return True
    return False


def test_calls_come_at_their_rate_after_a_seconds_worth_at_once(clock):
    allowance = Allowance("lab", Limits(calls=5), clock)

    at_once = [let_in(allowance, clock) for _ in range(6)]
    clock.now += 0.4
    later = [let_in(allowance, clock) for _ in range(3)]

    assert at_once == [True] * 5 + [False]
    assert later == [True, True, False]


def test_a_refusal_says_when_and_then_the_call_is_let_in(clock):
    allowance = Allowance("lab", Limits(calls=0.1), clock)
    assert let_in(allowance, clock)

    with pytest.raises(
        QuotaError, match=r"'lab' may make 0.1 calls per second; try again in 10 s"
    ) as e:
        with allowance.spending():
            pass
    clock.now += e.value.retry_after_s

    assert e.value.retry_after_s == pytest.approx(10)
    assert let_in(allowance, clock)


def test_work_is_made_up_for_after_it_was_done(clock):
    allowance = Allowance("lab", Limits(work=0.5), clock)

    assert let_in(allowance, clock, lasts=30)
    with pytest.raises(QuotaError, match="seconds of work") as e, allowance.spending():
        pass
    clock.now += e.value.retry_after_s - 0.001
    assert not let_in(allowance, clock)
    clock.now += 0.002

    assert let_in(allowance, clock)


def test_no_more_calls_at_once_than_allowed_and_an_ended_one_makes_room(clock):
    allowance = Allowance("lab", Limits(at_once=2), clock)

    with allowance.spending():
        with allowance.spending():
            assert not let_in(allowance, clock)
        assert let_in(allowance, clock)


def test_a_call_that_fails_gives_its_place_back(clock):
    allowance = Allowance("lab", Limits(at_once=1), clock)
    with contextlib.suppress(KeyError), allowance.spending():
        raise KeyError

    assert let_in(allowance, clock)


def test_no_limits_are_no_limits(clock):
    allowance = Allowance("lab", Limits(), clock)

    assert all(let_in(allowance, clock, lasts=9) for _ in range(1000))


def test_allowances_are_kept_apart_and_begin_anew_when_limits_change(clock):
    allowances = Allowances()
    one = allowances.of("lab", Limits(calls=1))

    assert allowances.of("lab", Limits(calls=1)) is one
    assert allowances.of("ana", Limits(calls=1)) is not one
    assert allowances.of("lab", Limits(calls=2)) is not one


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_is_a_number_above_0(value):
    with pytest.raises(ConfigError, match="at-once is a number above 0"):
        Limits(at_once=value)
