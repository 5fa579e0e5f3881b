"""Tests of serve/jobs.py."""

import threading

import pytest

from embed.errors import BusyError
from serve.jobs import Finished, JobSlot, Step, stepwise


def test_a_job_yields_its_steps_and_then_its_result():
    def job(tell):
        tell(1, 2)
        tell(2, 2)
        return "done"

    assert list(stepwise(job)) == [Step(1, 2), Step(2, 2), Finished("done")]


def test_the_error_of_a_job_comes_after_its_steps():
    def job(tell):
        tell(1, 2)
        raise LookupError("gone")

    news = stepwise(job)

    assert next(news) == Step(1, 2)
    with pytest.raises(LookupError, match="gone"):
        next(news)


def test_a_job_that_nobody_listens_to_ends_at_its_next_step_and_undoes_what_it_began():
    undone = threading.Event()

    def job(tell):
        try:
            for done in range(10**9):
                tell(done, 10**9)
        finally:
            undone.set()

    news = stepwise(job)
    next(news)
    news.close()

    assert undone.is_set()


def test_a_slot_holds_one_job_and_is_free_again_after_an_error():
    slot = JobSlot("cube")

    def fail_while_another_waits():
        with slot.holding("applying probe 'a'"):
            with pytest.raises(BusyError, match=r"'cube' is busy applying probe 'a'"):
                slot.holding("applying probe 'b'").__enter__()
            raise KeyError

    with pytest.raises(KeyError):
        fail_while_another_waits()

    with slot.holding("applying probe 'b'"):
        pass
