"""Tests of embed/threads.py."""

import os

import pytest

from embed.threads import THREADS, limit_threads, threads

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize("said", ["", "0", "-1", "many", str(10 * CORES)])
def test_there_is_a_thread_for_each_core_unless_a_lower_number_is_said(monkeypatch, said):
    monkeypatch.setenv(THREADS, said)

    assert threads() == CORES


def test_a_process_can_be_limited(monkeypatch):
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "64"})

    limit_threads(1)

    assert threads() == 1
    assert os.environ["OMP_NUM_THREADS"] == "1"
