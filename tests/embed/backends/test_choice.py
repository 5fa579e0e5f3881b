"""Tests of embed/backends/choice.py: which backend runs, and that an atlas stays with its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from embed.atlas import Atlas
from embed.audit import verify
from embed.backends.backend import name
from embed.backends.choice import choose, open_backend
from embed.backends.openvino import OpenVinoBackend
from embed.backends.xla import XlaBackend
from embed.errors import ConfigError, MismatchError, MissingExtraError
from embed.geometry import Box
from embed.grid_layout import create_atlas
from embed.inference import embed_shards, remaining, run_shard
from embed.job import Job
from embed.layout import Wanted

ROOT = Path(__file__).parents[3]
EXTRA = r"pip install 'voxkin\[openvino\]', or say --backend xla"


@pytest.fixture
def no_openvino(monkeypatch):
    """A Python without the extra."""
    monkeypatch.setitem(sys.modules, "openvino", None)


@pytest.fixture
def on_gpu(monkeypatch):
    """A machine whose JAX has a GPU."""
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")


def test_on_a_cpu_openvino_computes_in_float32():
    assert choose() == ("openvino", "float32")


def test_without_openvino_xla_computes(no_openvino):
    assert choose() == ("xla", "float32")


def test_on_a_gpu_xla_computes_in_bfloat16(on_gpu):
    assert choose() == ("xla", "bfloat16")


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (("xla", None), ("xla", "float32")),
        (("openvino", None), ("openvino", "float32")),
        ((None, "bfloat16"), ("openvino", "bfloat16")),
        (("xla", "bfloat16"), ("xla", "bfloat16")),
    ],
)
def test_what_is_asked_for_on_a_cpu_is_chosen(asked, chosen):
    assert choose(*asked) == chosen


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (("openvino", None), ("openvino", "float32")),
        ((None, "float32"), ("xla", "float32")),
    ],
)
def test_what_is_asked_for_on_a_gpu_is_chosen(on_gpu, asked, chosen):
    assert choose(*asked) == chosen


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("cuda", None), "--backend is one of xla, openvino; got 'cuda'"),
        (("xla", "float16"), "--precision is one of float32, bfloat16; got 'float16'"),
    ],
)
def test_what_there_is_not_is_refused_and_what_there_is_is_named(encoder, asked, words):
    with pytest.raises(ConfigError, match=words):
        open_backend(encoder, *asked)


def test_the_chosen_one_is_opened_and_has_a_name(encoder):
    assert isinstance(open_backend(encoder), OpenVinoBackend)
    assert isinstance(open_backend(encoder, "xla"), XlaBackend)
    assert name(open_backend(encoder, "xla", "bfloat16")) == "xla-cpu-bfloat16"


@pytest.mark.parametrize("precision", [None, "bfloat16"])
def test_openvino_that_is_not_installed_is_refused_with_what_to_install(
    encoder, no_openvino, precision
):
    with pytest.raises(MissingExtraError, match=EXTRA):
        open_backend(encoder, "openvino", precision)


# Prints what would tell anybody of its use: processes, connections and the module that makes them.
LISTENER = """
import sys, numpy as np
seen = []
sys.addaudithook(lambda event, _: event in EVENTS and seen.append(event))
EVENTS = {"os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "subprocess.Popen",
          "socket.connect", "socket.getaddrinfo"}
from embed.backends.choice import open_backend
from embed.checkpoint import random_encoder
from embed.encoder import EncoderConfig, Stage
encoder = random_encoder(EncoderConfig(stages=(Stage(4, (3, 3, 3)),), read=(0,)))
seen.clear()
open_backend(encoder, "openvino")(np.zeros((1, 4, 4, 4), np.float32))
print("openvino" in sys.modules, sys.modules["openvino_telemetry"], seen)
"""


def test_openvino_tells_its_makers_nothing():
    run = subprocess.run(
        [sys.executable, "-c", LISTENER], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert run.stdout == "True None []\n"


# What is kept of it in an atlas.


def lay_out(encoder, volume, path, **wanted):
    return create_atlas(
        encoder,
        volume,
        path,
        Wanted(shard=(8, 8, 8), box=Box.of_shape((21, 21, 37)), **wanted),
        run="r",
    )


def backends(atlas):
    return {mark.backend for mark in atlas.ledger.marks().values()}


def test_marks_tell_what_computed_their_shards(encoder, tissue_volume, tmp_path):
    found = {}
    for wanted in ({}, {"backend": "xla"}, {"backend": "xla", "precision": "bfloat16"}):
        atlas = lay_out(encoder, tissue_volume, tmp_path / str(len(found)), **wanted)
        embed_shards(atlas)
        found[atlas.info.backend] = backends(atlas)

    assert found == {
        "openvino-cpu-float32": {"openvino-cpu-float32"},
        "xla-cpu-float32": {"xla-cpu-float32"},
        "xla-cpu-bfloat16": {"xla-cpu-bfloat16"},
    }


def test_an_atlas_that_was_begun_with_xla_goes_on_with_it(encoder, tissue_volume, tmp_path):
    begun = lay_out(encoder, tissue_volume, tmp_path / "a", backend="xla")
    run_shard(begun.path, remaining(begun)[0])

    again = lay_out(encoder, tissue_volume, tmp_path / "a")
    embed_shards(again)

    assert choose() == ("openvino", "float32"), "which is what a new atlas would be computed by"
    assert isinstance(Job.open(again).backend, XlaBackend)
    assert backends(again) == {"xla-cpu-float32"}
    assert verify(again, recompute=2) == []


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"backend": "openvino"}, "is computed by xla-cpu-float32, not by openvino; leave out"),
        ({"backend": "xla", "precision": "bfloat16"}, "xla-cpu-float32, not by bfloat16; leave"),
    ],
)
def test_another_backend_or_precision_is_refused_half_way(
    encoder, tissue_volume, tmp_path, wanted, words
):
    lay_out(encoder, tissue_volume, tmp_path / "a", backend="xla")
    before = (tmp_path / "a" / "atlas.json").read_bytes()

    with pytest.raises(MismatchError, match=words):
        lay_out(encoder, tissue_volume, tmp_path / "a", **wanted)

    assert (tmp_path / "a" / "atlas.json").read_bytes() == before


def test_without_openvino_no_atlas_is_laid_out_for_it(
    encoder, tissue_volume, tmp_path, no_openvino
):
    with pytest.raises(MissingExtraError, match=EXTRA):
        lay_out(encoder, tissue_volume, tmp_path / "a", backend="openvino")

    assert not (tmp_path / "a").exists()


def test_without_openvino_an_atlas_that_was_begun_with_it_says_what_to_install(
    encoder, tissue_volume, tmp_path, monkeypatch
):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a")
    monkeypatch.setitem(sys.modules, "openvino", None)

    for use in (embed_shards, lambda a: run_shard(a.path, a.shards[0])):
        with pytest.raises(MissingExtraError, match="the backend openvino needs the package"):
            use(Atlas.open(atlas.path))

    assert atlas.ledger.marks() == {}


def test_what_one_backend_made_another_confirms(encoder, tissue_volume, tmp_path, monkeypatch):
    atlas = lay_out(encoder, tissue_volume, tmp_path / "a", backend="xla")
    embed_shards(atlas)
    monkeypatch.setattr(
        "embed.job.open_backend", lambda encoder, *_: OpenVinoBackend(encoder, "float32")
    )

    assert verify(atlas, recompute=2) == []
