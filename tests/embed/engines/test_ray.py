"""Tests of embed/engines/ray.py, beyond what every engine promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embed.engines.ray import Ray
from embed.errors import ConfigError, MissingExtraError, UnavailableError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def _installed():
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'voxkin[ray]'")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'voxkin\[ray\]'"):
        Ray()


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "ray://head:10001", "head:port"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ConfigError, match=f"is host:port, as in .*; got '{address}'"):
        Ray(address)


def test_threads_are_counted_from_one():
    with pytest.raises(ConfigError, match="threads are counted from 1; got 0"):
        Ray(threads=0)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:6379", "auto"])
def test_a_cluster_that_is_not_there_is_said(monkeypatch, tmp_path, address):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))  # where `auto` looks for clusters

    with pytest.raises(UnavailableError, match=f"cannot join the Ray cluster at {address}: .+"):
        list(Ray(address).run(str, [1]))


OWN = """
import functools, sys
from pathlib import Path
from embed.engines.ray import Ray
from tests.embed.engines import deeds

dies = functools.partial(deeds.die_at_first, Path(sys.argv[1]))
print(sorted(Ray().run(dies, range(5))))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("_installed")
def test_a_ray_of_its_own_says_nothing_and_leaves_nothing_in_the_home_folder(tmp_path):
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    env |= {"HOME": str(home), "RAY_ADDRESS": "elsewhere:6379"}
    words = [sys.executable, "-c", OWN, str(folder)]

    ended = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True)

    assert ended.stdout == f"{[(n, n) for n in range(5)]}\n"
    assert ended.stderr == ""
    assert list(home.iterdir()) == []
