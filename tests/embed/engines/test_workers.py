"""Tests of embed/engines/workers.py, beyond what every engine promises."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from embed.engines.workers import Workers
from embed.errors import ConfigError, UnavailableError
from embed.threads import THREADS, threads
from tests.embed.engines import deeds
from tests.embed.engines.processes import alive, wait_for

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("count", [1, 2, 100 * threads()])
def test_workers_share_the_cores(count):
    share = max(1, threads() // count)

    found = [result for _, result in Workers(count).run(deeds.surroundings, range(4))]

    assert {result[1:] for result in found} == {(share, str(share))}


def test_there_is_a_worker_for_each_core_unless_said_otherwise(monkeypatch):
    monkeypatch.setenv(THREADS, "1")

    assert Workers().count == 1
    assert Workers(7).count == 7
    with pytest.raises(ConfigError, match="workers are counted from 1; got 0"):
        Workers(0)


SLEEPERS = """
import functools, sys
from pathlib import Path
from embed.engines.workers import Workers
from tests.embed.engines import deeds

list(Workers(2).run(functools.partial(deeds.sleep, Path(sys.argv[1])), range(9)))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_the_process_that_started_them(tmp_path, how):
    words = [sys.executable, "-c", SLEEPERS, str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE) as parent:
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2, "two workers to begin")
        parent.send_signal(how)
        parent.communicate(timeout=30)

    wait_for(lambda: not any(map(alive, tmp_path.iterdir())), "the workers to end")


def test_workers_that_cannot_start_are_said(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from embed.engines.workers import Workers\n"
        "from tests.embed.engines import deeds\n"
        "list(Workers(2).run(deeds.square, range(9)))\n"  # not behind `if __name__ == ...`
    )

    ended = subprocess.run(
        [sys.executable, script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )

    assert (
        ended.stderr.strip()
        .splitlines()[-1]
        .startswith(f"{UnavailableError.__module__}.UnavailableError: no worker can begin: ")
    )
