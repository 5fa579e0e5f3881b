"""The encoder as OpenVINO runs it on CPUs: two to three times faster there than XLA.

The graph is built from our parameters, channels first, and gives what `embed.encoder` gives; the
tests hold the two together.
"""

import dataclasses
import functools
import importlib.util
import itertools
import math
import sys
import threading
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from embed.backends.backend import Kind, Precision
from embed.checkpoint import TrainedEncoder, named_parameters
from embed.encoder import EncoderConfig, Stage
from embed.errors import ConfigError, MissingExtraError
from embed.filters import FilterBank, invariants
from embed.geometry import Zyx, zyx
from embed.segment_statistics import EXPECTED, EXPECTED_PAIRS, SegmentStatistics
from embed.threads import threads

_END = np.iinfo(np.int64).max
_EPSILON = 1e-6  # flax's, in its LayerNorm


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
    config, network = encoder.config, _Layers(named_parameters(encoder))
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


class _Layers:
    """The layers of `embed.encoder` as nodes of a graph, over [batch, channel, z, y, x]."""

    def __init__(self, parameters: dict[str, np.ndarray]):
        self._op = _openvino().opset13
        self._parameters = parameters

    def stage(self, x: Any, index: int, stage: Stage) -> Any:
        """A convolution with what follows it, and its pointwise blocks."""
        op, path = self._op, f"['stages'][{index}][0]"
        kernel = np.transpose(self._parameter(f"{path}['kernel']"), (4, 3, 0, 1, 2))
        x = self._convolved(x, kernel, stage.stride)
        x = op.add(x, self._along_channels(self._parameter(f"{path}['bias']")))
        x = op.relu(self.normalised(x, f"{path}['norm']") if index > 0 else x)
        for block in range(1, stage.blocks + 1):
            path = f"['stages'][{index}][{block}]"
            wide = op.relu(self.linear(self.normalised(x, f"{path}['norm']"), f"{path}['widen']"))
            x = op.add(x, self.linear(wide, f"{path}['narrow']"))
        return x

    def normalised(self, x: Any, path: str) -> Any:
        """Mean 0 and deviation 1 over the channels, then scaled and shifted."""
        op = self._op
        x = op.mvn(x, self.whole([1]), True, _EPSILON, "inside_sqrt")
        x = op.multiply(x, self._along_channels(self._parameter(f"{path}['scale']")))
        return op.add(x, self._along_channels(self._parameter(f"{path}['bias']")))

    def linear(self, x: Any, path: str) -> Any:
        """One matrix for every place, and a bias."""
        bias = self._along_channels(self._parameter(f"{path}['bias']"))
        return self._op.add(self.product(x, path), bias)

    def product(self, x: Any, path: str) -> Any:
        """One matrix for every place."""
        kernel = self._parameter(f"{path}['kernel']").T[:, :, None, None, None]
        return self._convolved(x, kernel, (1, 1, 1))

    def filtered(self, block: Any, bank: FilterBank) -> Any:
        """The responses of classical filters in the middle of each field of view."""
        op = self._op
        x = op.unsqueeze(block, self.whole([1]))
        for axis in range(3):
            # [scale, after, before, tap]: each scale is a group, but all share the voxels.
            weights = np.stack([bank.weights(axis, s).transpose(2, 1, 0) for s in bank.scales])
            shape = [bank.fov[axis] if a == axis else 1 for a in range(3)]
            kernels = weights.reshape(*weights.shape[:3], *shape)
            step = zyx(bank.stride[a] if a == axis else 1 for a in range(3))
            if axis == 0:
                x = self._convolved(x, np.concatenate([*kernels]), step)
            else:
                x = self._convolved_in_groups(x, kernels, step)
        orders, end, channels = bank.orders(2), self.whole([_END]), self.whole([1])
        every = self.whole([len(orders)])
        derivatives = {
            key: op.slice(x, self.whole([i]), end, every, channels) for i, key in enumerate(orders)
        }
        return op.concat(invariants(derivatives, bank.axes, op.sqrt, self.number), 1)

    def numbers(self, block: Any, config: EncoderConfig) -> Any:
        """What is read as angles, [batch, z, y, x, count]."""
        found = [self.means(block, config.tone_bank)] if config.tones else []
        found += [self.statistics(block, config.segment)] if config.statistics else []
        return self._op.transpose(self._op.concat(found, 1), self.whole([0, 2, 3, 4, 1]))

    def means(self, block: Any, bank: FilterBank) -> Any:
        """Gaussian means in the middle of each field of view, a channel for each scale."""
        x = self._op.unsqueeze(block, self.whole([1]))
        for axis in range(3):
            taps = np.stack([bank.mean_weights(axis, s).ravel() for s in bank.scales])
            shape = [bank.fov[axis] if a == axis else 1 for a in range(3)]
            kernels = taps.reshape(len(taps), 1, *shape)
            step = zyx(bank.stride[a] if a == axis else 1 for a in range(3))
            if axis == 0:
                x = self._convolved(x, kernels, step)
            else:
                x = self._convolved_in_groups(x, kernels[:, None], step)
        return x

    def statistics(self, block: Any, segment: SegmentStatistics) -> Any:
        """How bright and how rough what each field of view shows is, two channels."""
        op = self._op
        x = op.unsqueeze(block, self.whole([1]))
        seen = op.convert(op.not_equal(x, self.number(0.0)), np.float32)
        total = functools.partial(self._totals, segment.stride)
        voxels = total(segment.fov, seen)
        squares = op.multiply(voxels, self.number(0.0))
        pairs = op.add(squares, self.number(EXPECTED_PAIRS))
        for axis, lag in segment.lags.items():
            window = segment.pair_window(axis)
            (a, b), (in_a, in_b) = self._pairs(x, axis, lag), self._pairs(seen, axis, lag)
            both, difference = op.multiply(in_a, in_b), op.subtract(a, b)
            apart = op.multiply(both, op.multiply(difference, difference))
            squares = op.add(squares, total(window, apart))
            pairs = op.add(pairs, total(window, both))
        mean = op.divide(total(segment.fov, x), op.maximum(voxels, self.number(1.0)))
        half = op.multiply(squares, self.number(0.5))
        half = op.add(half, self.number(EXPECTED * EXPECTED_PAIRS))
        return op.concat([mean, op.log(op.divide(half, pairs))], 1)

    def beside(self, x: Any, numbers: Any) -> Any:
        """Embeddings and angles, turned to the length of an embedding, over the last axis."""
        op, path = self._op, "['angles']"
        shift, scale = (self._parameter(f"{path}['{name}']") for name in ("shift", "scale"))
        angles = op.multiply(op.subtract(numbers, op.constant(shift)), op.constant(scale))
        wide = op.concat([x, op.cos(angles), op.sin(angles)], -1)
        return op.matmul(
            wide, op.constant(self._parameter(f"{path}['turn']['kernel']")), False, False
        )

    def unit(self, x: Any) -> Any:
        """Length 1 along the last axis; a zero vector stays zero."""
        op = self._op
        squares = op.reduce_sum(op.multiply(x, x), self.whole([-1]), True)
        return op.divide(x, op.sqrt(op.maximum(squares, self.number(1e-12))))

    def at_centres(self, x: Any, config: EncoderConfig, stage: int) -> Any:
        """The features of a stage in the middle of each field of view."""
        (first, window), (fov, step) = config.window(stage), config.reach(stage)
        every = [s // t for s, t in zip(config.stride, step, strict=True)]
        # Cells of this stage in a field of view; as many lie behind its middle in the last one.
        within = [(n - f) // t + 1 for n, f, t in zip(config.fov, fov, step, strict=True)]
        parts = []
        for offset in itertools.product(*map(range, window)):
            start = np.add(first, offset)
            behind = np.subtract(within, start + 1)
            stop, axes = np.where(behind, -behind, _END), self.whole([2, 3, 4])
            parts.append(
                self._op.slice(x, self.whole(start), self.whole(stop), self.whole(every), axes)
            )
        total = functools.reduce(self._op.add, parts)
        return self._op.multiply(total, self.number(1 / len(parts)))

    def whole(self, values: Any) -> Any:
        """A constant of integers."""
        return self._op.constant(np.asarray(values, np.int64))

    def number(self, value: float) -> Any:
        """A constant."""
        return self._op.constant(np.array([value], np.float32))

    def _pairs(self, x: Any, axis: int, lag: int) -> tuple[Any, Any]:
        """All but the first and all but the last voxels along an axis."""
        step, axes = self.whole([1]), self.whole([axis + 2])
        ahead = self._op.slice(x, self.whole([lag]), self.whole([_END]), step, axes)
        return ahead, self._op.slice(x, self.whole([0]), self.whole([-lag]), step, axes)

    def _totals(self, stride: Zyx, window: Zyx, x: Any) -> Any:
        """Sums over windows, so many voxels apart."""
        zeros = [0, 0, 0]
        means = self._op.avg_pool(x, list(stride), zeros, zeros, list(window), False, "floor")
        return self._op.multiply(means, self.number(float(math.prod(window))))

    def _parameter(self, path: str) -> np.ndarray:
        return self._parameters[f"{path}.value"]

    def _along_channels(self, values: np.ndarray) -> Any:
        return self._op.constant(values.reshape(1, -1, 1, 1, 1))

    def _convolved(self, x: Any, kernel: np.ndarray, stride: Zyx) -> Any:
        weights = self._op.constant(np.ascontiguousarray(kernel))
        return self._op.convolution(x, weights, list(stride), [0, 0, 0], [0, 0, 0], [1, 1, 1])

    def _convolved_in_groups(self, x: Any, kernels: np.ndarray, stride: Zyx) -> Any:
        weights = self._op.constant(np.ascontiguousarray(kernels))
        zeros = [0, 0, 0]
        return self._op.group_convolution(x, weights, list(stride), zeros, zeros, [1, 1, 1])
