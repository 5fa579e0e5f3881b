"""That one encoder gives one embedding, whatever runs it, on however much of a machine."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from embed.backends import openvino
from embed.backends.backend import AGREE, Backend
from embed.backends.openvino import OpenVinoBackend
from embed.errors import ConfigError
from embed.threads import THREADS
from tests.conftest import FAST_TO_COMPILE
from tests.embed.backends.conftest import CONFIGS, PRETRAINED, backend_of, encoder_named, tissue_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def cosines(a, b):
    return np.sum(a.astype(np.float64) * b.astype(np.float64), axis=-1)


def test_every_backend_is_one(kind, name):
    backend = backend_of(kind, name)

    assert isinstance(backend, Backend)
    assert (backend.kind, backend.precision, backend.platform) == (kind, "float32", "cpu")
    assert backend.parallel == 1


def test_the_encoders_have_all_that_an_encoder_can_have():
    configs = [encoder_named(name).config for name in CONFIGS]

    windows = {n for c in configs for i in c.read for n in c.window(i)[1]}
    assert windows == {1, 2}, "means of two cells, too"
    assert {stage.blocks for c in configs for stage in c.stages} == {0, 1, 2}
    assert {len(c.read) for c in configs} == {1, 2, 3}
    assert any(len({*c.stride}) > 1 for c in configs)
    assert {len(c.bank.axes) for c in configs if c.filters} == {2, 3}
    assert {len(c.segment.lags) for c in configs if c.statistics} == {0, 2, 3}
    assert {(len(c.tones), c.statistics) for c in configs} >= {(0, False), (1, False), (2, True)}


def test_openvino_gives_what_xla_gives(name):
    blocks, config = tissue_for(name), encoder_named(name).config

    reference, found = (backend_of(kind, name)(blocks) for kind in ("xla", "openvino"))

    assert found.shape == (2, 3, 4, 5, config.embedding_dim)
    assert found.dtype == reference.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)
    assert cosines(found, reference).min() >= AGREE["float32"]
    spread = cosines(reference[0, 0, 0, 0], reference)
    assert spread.min() < AGREE["float32"], "places differ, so that a mix-up would show"


def test_a_field_of_view_alone_has_the_embedding_that_it_has_in_a_block(kind, name):
    backend, blocks = backend_of(kind, name), tissue_for(name)
    config = encoder_named(name).config
    z, y, x = (2, 1, 3)
    corner = [c * s for c, s in zip((z, y, x), config.stride, strict=True)]
    seen = tuple(slice(c, c + f) for c, f in zip(corner, config.fov, strict=True))

    alone = backend(blocks[:1][(slice(None), *seen)])

    np.testing.assert_allclose(alone[0, 0, 0, 0], backend(blocks)[0, z, y, x], atol=1e-5)


def test_half_is_what_numpy_rounds_the_embeddings_to(kind, name):
    backend, blocks = backend_of(kind, name), tissue_for(name)

    found = backend(blocks, half=True)

    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, backend(blocks).astype(np.float16))


def test_a_block_of_zeros_has_an_embedding_of_numbers(kind, name):
    found = backend_of(kind, name)(np.zeros_like(tissue_for(name)))

    assert np.isfinite(found).all()


def test_a_block_again_or_from_many_threads_has_the_same_bits(kind, name):
    backend, blocks = backend_of(kind, name), tissue_for(name)
    first = [backend(block[None]) for block in blocks]

    with ThreadPoolExecutor(8) as pool:
        again = [*pool.map(lambda i: backend(blocks[i % 2][None]), range(16))]

    for i, found in enumerate(again):
        np.testing.assert_array_equal(found, first[i % 2])


def test_a_block_in_a_batch_is_what_it_is_alone_up_to_rounding(kind, name):
    backend, blocks = backend_of(kind, name), tissue_for(name)

    together = backend(blocks)

    alone = np.concatenate([backend(block[None]) for block in blocks])
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_a_block_may_be_any_view_of_memory(kind):
    name = PRETRAINED[0]
    blocks = tissue_for(name)
    view = np.asfortranarray(np.flip(blocks, axis=3))

    found = backend_of(kind, name)(view)

    copy = np.ascontiguousarray(np.flip(blocks, axis=3))
    np.testing.assert_array_equal(found, backend_of(kind, name)(copy))


def test_a_result_stays_when_the_next_is_computed(kind):
    backend, blocks = backend_of(kind, PRETRAINED[0]), tissue_for(PRETRAINED[0])
    first = backend(blocks)
    kept = first.copy()

    backend(-blocks)

    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("name", PRETRAINED)
def test_openvino_gives_the_same_bits_with_one_thread_and_with_two(name, monkeypatch):
    blocks, found = tissue_for(name), []

    for count in ("1", "2"):
        monkeypatch.setenv(THREADS, count)
        found.append(OpenVinoBackend(encoder_named(name), "float32")(blocks))

    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", PRETRAINED)
def test_xla_in_bfloat16_gives_nearly_what_it_gives_in_float32(name):
    blocks = tissue_for(name)

    found = backend_of("xla", name, "bfloat16")(blocks)

    reference = backend_of("xla", name)(blocks)
    assert found.dtype == np.float32
    assert AGREE["bfloat16"] <= cosines(found, reference).min() < 1 - 1e-6


@pytest.mark.skipif(not openvino.takes("bfloat16"), reason="a processor without bfloat16")
@pytest.mark.parametrize("name", PRETRAINED)
def test_openvino_in_bfloat16_gives_nearly_what_xla_gives_in_float32(name):
    blocks = tissue_for(name)

    found = backend_of("openvino", name, "bfloat16")(blocks)

    reference = backend_of("xla", name)(blocks)
    assert AGREE["bfloat16"] <= cosines(found, reference).min() < 1 - 1e-6


class Processor:
    """OpenVINO's core on a processor with these capabilities."""

    def __init__(self, *capabilities):
        self.capabilities = capabilities

    def get_property(self, _device, _name):
        return self.capabilities


def test_bfloat16_is_refused_where_openvino_would_compute_in_float32(monkeypatch):
    monkeypatch.setattr(openvino, "_core", lambda: Processor("FP32", "INT8"))

    assert openvino.takes("float32")
    assert not openvino.takes("bfloat16")
    with pytest.raises(ConfigError, match="no bfloat16 instructions; leave out --precision, or"):
        OpenVinoBackend(encoder_named(PRETRAINED[0]), "bfloat16")


def elsewhere(folder, **environment):
    """What a process of its own makes of the blocks."""
    source, out = folder / "blocks.npz", folder / "found.npz"
    np.savez(source, blocks=tissue_for(PRETRAINED[0]))
    command = [sys.executable, "-m", "tests.embed.backends.embedded", source, out]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)
    with np.load(out) as found:
        return dict(found)


@pytest.mark.parametrize(
    ("environment", "devices"),
    [
        ({"XLA_FLAGS": f"{FAST_TO_COMPILE} --xla_force_host_platform_device_count=4"}, 4),
        ({"VOXKIN_THREADS": "1", "NPROC": "1", "OMP_NUM_THREADS": "1"}, 1),
    ],
)
def test_several_devices_or_a_single_thread_give_the_same_bits(environment, devices, tmp_path):
    found = elsewhere(tmp_path, **environment)

    assert found["devices"] == devices
    for kind in ("xla", "openvino"):
        here = backend_of(kind, PRETRAINED[0])(tissue_for(PRETRAINED[0]))
        assert len(found[kind]) == devices + 1
        for turn in found[kind]:
            np.testing.assert_array_equal(turn, here)
