"""Tests of embed/training/devices.py: training on several devices and hosts is training on one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from embed.errors import ConfigError
from embed.training.devices import make_mesh, own_crops, spread
from embed.training.sampling import Batch
from tests.conftest import FAST_TO_COMPILE

ROOT = Path(__file__).parents[3]


def start(out, devices, *distributed):
    flags = f"{FAST_TO_COMPILE} --xla_force_host_platform_device_count={devices}"
    command = [
        sys.executable,
        "-m",
        "tests.embed.training.on_devices",
        str(out),
        *map(str, distributed),
    ]
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipe)


def results(out, *programs):
    for program in programs:
        told, _ = program.communicate(timeout=200)
        assert program.returncode == 0, told
    with np.load(out) as saved:
        return dict(saved)


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Three steps on one device."""
    out = tmp_path_factory.mktemp("alone") / "saved.npz"
    return results(out, start(out, 1))


def assert_same(found, expected, devices):
    assert found.pop("devices") == devices
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_four_devices_have_the_loss_and_gradients_of_one(alone, tmp_path):
    """The loss compares places across devices; were negatives only local it would be another."""
    found = results(tmp_path / "saved.npz", start(tmp_path / "saved.npz", 4))

    assert_same(found, alone, 4)


@pytest.mark.long
def test_two_hosts_have_the_loss_and_gradients_of_one(alone, tmp_path):
    out, address = tmp_path / "saved.npz", f"127.0.0.1:{free_port()}"

    found = results(out, *(start(out, 2, address, 2, own) for own in range(2)))

    assert_same(found, alone, 4)


def test_one_device_needs_no_mesh_and_gets_every_crop():
    assert make_mesh(7) is None
    assert own_crops(7, None) == range(7)


def test_crops_that_cannot_be_shared_out_are_refused(monkeypatch):
    monkeypatch.setattr("jax.devices", lambda: [object()] * 4)

    with pytest.raises(ConfigError, match=r"6 crops .* among 4 devices; use --sampling.crops 8"):
        make_mesh(6)


def test_without_a_mesh_a_batch_stays_as_it_is():
    batch = Batch(np.zeros((2, 1, 3, 3, 3), np.float32), np.zeros(1, np.int32))

    assert spread(batch, None) is batch
