"""Tests of serve/verbs/console.py: what goes to stdout, what to stderr, and how much of it."""

import io
import json
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from rich.console import Console

from embed.errors import StorageError
from serve.verbs import console
from serve.verbs.console import (
    note,
    plain_table,
    print_json,
    print_table,
    progress,
    say,
    stages,
)


@pytest.fixture
def clock(monkeypatch):
    """Sets what the command line alone is told of the time; the other threads have their own."""

    def tell(seconds: Iterable[float]) -> None:
        told = iter(seconds)
        monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(told)))

    return tell


def test_results_and_notes_go_to_different_streams_as_they_are(capsys):
    say("[bold]a result[/bold] " + "x" * 300)
    note("[red]a note[/red] :smile: " + "y" * 300)

    out, err = capsys.readouterr()
    assert out == "[bold]a result[/bold] " + "x" * 300 + "\n"
    assert err == "[red]a note[/red] :smile: " + "y" * 300 + "\n"


def test_json_is_one_value_that_every_parser_reads(capsys):
    print_json({"size": (1, 2), "mean": float("nan"), "most": [float("inf")], "name": "Ñ"})

    value = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert value == {"size": [1, 2], "mean": None, "most": [None], "name": "Ñ"}


def test_a_table_that_is_piped_keeps_its_rows_whole(capsys):
    table = plain_table("found", names="probe|labels", numbers="score")
    table.add_row("mito", "[a] " + "label " * 20, "0.5")

    print_table(table)

    title, heading, _, row = capsys.readouterr().out.splitlines()
    assert title.strip() == "found"
    assert heading.split() == ["probe", "labels", "score"]
    assert row.split() == ["mito", "[a]", *["label"] * 20, "0.5"]


def test_a_short_job_that_nobody_watches_says_nothing(capsys):
    with progress("embedding", 10, "locations") as advance:
        for done in range(11):
            advance(done)

    assert capsys.readouterr() == ("", "")


def test_a_long_job_that_nobody_watches_says_a_line_now_and_then_and_its_end(capsys, clock):
    clock(range(0, 10_000, 25))

    with progress("embedding", 3000, "locations") as advance:
        for done in range(0, 3001, 500):
            advance(done, "7 void")

    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) < 7
    assert lines[-1].startswith("embedding: 3,000 of 3,000 locations, ")
    assert all("/s" in line for line in lines)
    assert all(line.endswith("left") for line in lines[:-1])
    assert lines[-1].endswith("7 void")


def test_what_an_earlier_run_did_does_not_count_as_speed(clock):
    clock([0, 10])
    rate = console._Rate()

    rate.update(900)
    rate.update(1000)

    assert rate.text == "10/s"
    assert rate.left(36_610) == "1 h 1 min left"
    assert rate.left(90) == "0 min 9 s left"


@pytest.fixture
def window(monkeypatch) -> io.StringIO:
    """What a person sees on a terminal of 100 columns."""
    seen = io.StringIO()
    terminal = Console(file=seen, force_terminal=True, width=100, highlight=False, markup=False)
    monkeypatch.setattr(console, "_err", terminal)
    return seen


def test_a_job_that_is_watched_has_a_bar_with_its_words(window, capsys):
    with progress("training", 40, "steps", rated=False) as advance:
        advance(0, "compiling")
        advance(12, "loss [4.7]")

    shown = window.getvalue()
    assert "12/40" in shown
    assert "steps · loss [4.7]" in shown
    assert capsys.readouterr() == ("", "")


def test_a_bar_takes_a_total_that_is_known_later(window):
    with progress("converting", 0, "blocks") as advance:
        advance(1, total=2)
        advance(2, total=2)

    assert "2/2" in window.getvalue()


def test_a_failure_leaves_the_cursor_visible(window):
    with pytest.raises(StorageError), progress("embedding", 2, "shards"):
        raise StorageError("the disk is full")

    assert window.getvalue().rfind("\x1b[?25h") > window.getvalue().rfind("\x1b[?25l")


def test_stages_that_last_are_lines_where_nobody_watches(capsys, clock):
    clock([0, 1, 9, 9, 10])

    with stages("evaluating") as tell:
        tell("the places")
        tell("the encoder")
        tell("the controls")

    assert capsys.readouterr().err == "evaluating: the encoder\n"


def test_stages_are_one_changing_line_for_a_person(window):
    with stages("evaluating") as tell:
        tell("[the controls]")

    assert "evaluating" in window.getvalue()
