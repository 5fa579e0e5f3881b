"""Tests of embed/training/hosts.py, by `voxkin train` on two hosts, here two processes."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from embed.checkpoint import load_encoder
from embed.errors import ConfigError
from embed.training import hosts
from tests.conftest import FAST_TO_COMPILE
from tests.embed.training.test_devices import ROOT, free_port

pytestmark = pytest.mark.slow

PRESET = """
from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig({volume!r}),),
    encoder=EncoderConfig(stages=(Stage(8, (3, 3, 3), (2, 2, 2)),), read=(0,), embedding_dim=8),
    sampling=SamplingConfig(crops=4, places=(2, 2, 2)),
    train=TrainConfig(
        steps={steps}, projection=(8,), ignore_cells=1, filter_scales=(1.0,), log_every=2,
        save_every=4,
    ),
)
"""


@pytest.fixture(scope="module")
def preset(tissue_volume, tmp_path_factory):
    """Writes a preset of so many steps."""
    folder = tmp_path_factory.mktemp("presets")
    path = tissue_volume.source.spec["kvstore"]["path"]

    def write(steps):
        file = folder / f"{steps}.py"
        file.write_text(PRESET.format(volume=path, steps=steps))
        return file

    return write


def start(preset, out, *more, devices=1):
    flags = f"{FAST_TO_COMPILE} --xla_force_host_platform_device_count={devices}"
    words = ["train", str(preset), "--out", str(out), "--report.places", "16", *more]
    command = [
        sys.executable,
        "-c",
        "import sys; from serve.cli import main; sys.exit(main())",
        *words,
    ]
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipe)


def start_both(preset, outs, *more):
    address = f"127.0.0.1:{free_port()}"
    return [
        start(preset, out, "--join", f"{own}/2@{address}", *more) for own, out in enumerate(outs)
    ]


def ended(*programs):
    found = [program.communicate(timeout=200) for program in programs]
    return [(program.returncode, *said) for program, said in zip(programs, found, strict=True)]


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_two_hosts_train_what_one_trains_and_only_the_first_writes(preset, tmp_path):
    alone, both, other = (tmp_path / name for name in ("alone", "both", "other"))

    first, second = ended(*start_both(preset(6), (both, other)))
    one = ended(start(preset(6), alone, devices=2))[0]

    assert (one[0], first[0], second[0]) == (0, 0, 0), (one, first, second)
    assert "encoder" in first[1]
    assert "encoder" not in second[1], "but a line of the library that connects CPUs"
    assert not other.exists()
    for mine, expected in zip(metrics(both), metrics(alone), strict=True):
        np.testing.assert_allclose(mine["loss"], expected["loss"], rtol=1e-3)
    trained = [jax.tree.leaves(load_encoder(run).params["stages"]) for run in (both, alone)]
    for mine, expected in zip(*trained, strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-3)


@pytest.mark.long
def test_a_signal_to_one_host_stops_both_and_both_go_on(preset, tmp_path):
    outs = tmp_path / "run", tmp_path / "other"
    programs = start_both(preset(4000), outs)
    while not (outs[0] / "states").exists() or not list((outs[0] / "states").glob("[0-9]*")):
        assert [p.poll() for p in programs] == [None, None], ended(*programs)
        time.sleep(0.2)

    programs[1].send_signal(signal.SIGTERM)
    first, second = ended(*programs)

    assert second[0] == 128 + signal.SIGTERM, second
    assert "stopped and saved at step" in first[2]
    saved = max(int(state.name) for state in (outs[0] / "states").glob("[0-9]*"))
    assert 0 < saved < 4000
    assert metrics(outs[0])[-1]["step"] == saved
    again = start_both(preset(4000), outs)
    while metrics(outs[0])[-1]["step"] <= saved:
        assert [p.poll() for p in again] == [None, None], ended(*again)
        time.sleep(0.2)
    again[0].send_signal(signal.SIGINT)
    assert "stopped and saved" in ended(*again)[0][2]


@pytest.mark.long
def test_where_the_first_host_refuses_both_end_and_it_says_why(preset, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")

    first, second = ended(*start_both(preset(6), (tmp_path / "full", tmp_path / "other")))

    assert (first[0], second[0]) != (0, 0)
    assert "is not a training run" in first[2]
    assert "the first host has stopped" in second[2]
    assert "Traceback" not in first[2] + second[2]


@pytest.mark.parametrize(
    "part", ["", "1", "0/2", "a/2@host:1", "0/2@host", "2/2@host:1", "3/2@h:1"]
)
def test_what_is_no_part_is_refused_with_the_form(part):
    with pytest.raises(ConfigError, match=r"I/N@HOST:PORT|each is one of 0 to 1"):
        hosts.join(part)


def test_where_jax_knows_no_cluster_it_is_said_how_to_join(preset, tmp_path):
    code, _, complaint = ended(start(preset(6), tmp_path / "run", "--join", "auto"))[0]

    assert code == 2
    assert re.search(r"no cluster here .* I/N@HOST:PORT", complaint), complaint
    assert not (tmp_path / "run").exists()


def test_one_host_asks_nobody():
    tree = {"a": jnp.ones(2)}

    assert hosts.leads()
    assert hosts.led(lambda: 3) == 3
    assert hosts.any_of(True) is True
    assert hosts.shared(tree) is tree
    assert hosts.here(tree) is tree
