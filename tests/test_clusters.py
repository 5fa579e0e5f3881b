"""What the page on clusters and the job array for SLURM tell people to type."""

import re
import subprocess
from pathlib import Path

import pytest

from serve.cli import main

ROOT = Path(__file__).parents[1]
JOB = ROOT / "configs" / "slurm" / "embed.sbatch"
PAGE = ROOT / "docs" / "clusters.md"


def flags(text):
    """Of every `voxkin embed`, also where the line goes on below."""
    commands = re.findall(r"(?:^|exec )voxkin embed .*(?:\\?\n +--.*)*", text, re.MULTILINE)
    return {flag for command in commands for flag in re.findall(r" (--[a-z-]+)", command)}


@pytest.mark.parametrize("file", [JOB, PAGE], ids=lambda file: file.name)
def test_every_flag_exists(file, capsys):
    assert main(["embed", "--help"]) == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))

    used = flags(file.read_text())

    assert {"--volume", "--out", "--part", "--engine"} <= used
    assert used <= known


def test_the_job_array_is_a_script_that_bash_can_read():
    subprocess.run(["bash", "-n", JOB], check=True)


def test_each_task_of_the_array_does_its_part(tmp_path):
    voxkin = tmp_path / "voxkin"
    voxkin.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    voxkin.chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_ARRAY_TASK_COUNT": "64",
    }

    def submit(*words):
        return subprocess.run(["bash", JOB, *words], env=env, capture_output=True, text=True)

    told = submit("runs/em", "a volume.zarr", "em.atlas").stdout.splitlines()
    short = submit("runs/em")

    assert told[:6] == ["embed", "runs/em", "--volume", "a volume.zarr", "--out", "em.atlas"]
    assert told[-2:] == ["--part", "3/64"]
    assert (short.returncode, short.stdout) == (2, "")
    assert "usage" in short.stderr
