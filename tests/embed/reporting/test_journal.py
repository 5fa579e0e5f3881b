"""Tests of embed/reporting/journal.py: whole lines of steps that count."""

import pytest

from embed.errors import StorageError
from embed.reporting.journal import Journal


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "lines.jsonl")
    for step in (1, 5, 10):
        journal.append({"step": step, "loss": 1 / step})
    return journal


def test_lines_come_back_in_order(journal):
    assert journal.lines() == [{"step": s, "loss": 1 / s} for s in (1, 5, 10)]


def test_lines_of_later_steps_are_dropped(journal):
    journal.keep_until(5)
    journal.append({"step": 6})

    assert [line["step"] for line in journal.lines()] == [1, 5, 6]


def test_a_line_that_was_cut_short_is_passed_over_and_dropped(journal, tmp_path):
    with (tmp_path / "lines.jsonl").open("a") as file:
        file.write('{"step": 12, "lo')

    before = [line["step"] for line in journal.lines()]
    journal.keep_until(20)
    journal.append({"step": 12})

    assert before == [1, 5, 10]
    assert [line["step"] for line in journal.lines()] == [1, 5, 10, 12]


def test_there_are_no_lines_before_the_first(tmp_path):
    journal = Journal(tmp_path / "none.jsonl")
    journal.keep_until(3)

    assert journal.lines() == []


def test_a_place_that_refuses_is_said(tmp_path):
    with pytest.raises(StorageError, match="that is a folder"):
        Journal(tmp_path).append({"step": 1})
