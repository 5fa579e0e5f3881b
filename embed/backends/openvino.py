"""The encoder as OpenVINO runs it on CPUs: two to three times faster there than XLA.

The graph is built from our parameters, channels first, and gives what `embed.encoder` gives; the
tests hold the two together.
"""

import dataclasses
import functools
import importlib.util
import sys
import threading
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from embed.backends.backend import Kind, Precision
from embed.backends.openvino_layers import Layers
from embed.checkpoint import TrainedEncoder, named_parameters
from embed.errors import ConfigError, MissingExtraError
from embed.geometry import zyx
from embed.threads import threads


def is_installed() -> bool:
    """Whether the extra is there."""
    return importlib.util.find_spec("openvino") is not None


def takes(precision: Precision) -> bool:
    """Whether this processor has the instructions; OpenVINO would silently compute in float32."""
    return precision == "float32" or "BF16" in _core().get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    )


class OpenVinoBackend:
    """See `Backend`.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        ConfigError: this processor cannot compute in that precision.
    """

    kind: Kind = "openvino"
    platform = "cpu"
    parallel = 1
    fill = 1

    def __init__(self, encoder: TrainedEncoder, precision: Precision):
        _openvino()  # missing, it is said now, not when the first block comes
        if not takes(precision):
            raise ConfigError(
                f"this processor has no {precision} instructions; leave out --precision, or say "
                "float32"
            )
        self.encoder = encoder
        self.precision = precision

    def __call__(
        self, blocks: Float32[np.ndarray, "batch z y x"], half: bool = False
    ) -> Float[np.ndarray, "batch cz cy cx dim"]:
        """Embeds every field of view of a batch of normalised blocks."""
        config = self.encoder.config
        z, y, x = map(slice, config.voxels(config.cells(zyx(blocks.shape[1:]))))
        whole = blocks[:, z, y, x]  # without what is left over behind the last field of view
        wanted = _Wanted(self.encoder.fingerprint, self.precision, threads(), half, self.encoder)
        lock, network = _compiled(wanted)
        with lock:  # it uses every core by itself
            return np.array(network(np.ascontiguousarray(whole), share_inputs=True)[0])


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """What a compiled network depends on, and what it is compiled from."""

    fingerprint: str
    precision: Precision
    threads: int
    half: bool
    encoder: TrainedEncoder = dataclasses.field(compare=False, repr=False)


@functools.lru_cache(maxsize=4)
def _compiled(wanted: _Wanted) -> tuple[threading.Lock, Any]:
    """One per process, for blocks of any shape, which then share its memory."""
    options = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[wanted.precision],
        "INFERENCE_NUM_THREADS": wanted.threads,
        "NUM_STREAMS": 1,
    }
    model = _model(wanted.encoder, wanted.half)
    return threading.Lock(), _core().compile_model(model, "CPU", options)


@functools.cache
def _core() -> Any:
    return _openvino().Core()


def _openvino() -> Any:
    # At import it would report to its makers over the network, from a forked process; without this
    # module it does not.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError:
        raise MissingExtraError(
            "the backend openvino needs the package openvino; install it with: "
            "pip install 'voxkin[openvino]', or say --backend xla"
        ) from None
    return openvino


def _model(encoder: TrainedEncoder, half: bool) -> Any:
    openvino = _openvino()
    op = openvino.opset13
    config, network = encoder.config, Layers(op, named_parameters(encoder))
    block = op.parameter(openvino.PartialShape([-1] * 4), np.float32, name="block")
    x, read = op.unsqueeze(block, network.whole([1])), []
    for i, stage in enumerate(config.stages):
        x = network.stage(x, i, stage)
        if i in config.read:
            read.append(network.at_centres(x, config, i))
    x = network.linear(network.normalised(op.concat(read, 1), "['norm']"), "['head']")
    if config.filters:
        x = op.add(x, network.product(network.filtered(block, config.bank), "['filters']"))
    x = op.transpose(x, network.whole([0, 2, 3, 4, 1]))
    x = network.unit(x)
    if config.angles:
        x = network.unit(network.beside(x, network.numbers(block, config)))
    result = op.convert(x, np.float16) if half else x
    return openvino.Model([result], [block], "encoder")
