"""The layers of the encoder as OpenVINO's operations, from our parameters, channels first."""

import functools
import itertools
import math
from typing import Any

import numpy as np

from embed.encoder import EncoderConfig, Stage
from embed.filters import FilterBank, invariants
from embed.geometry import Zyx, zyx
from embed.segment_statistics import EXPECTED, EXPECTED_PAIRS, SegmentStatistics

_END = np.iinfo(np.int64).max
_EPSILON = 1e-6  # flax's, in its LayerNorm


class Layers:
    """The layers of `embed.encoder` as nodes of a graph, over [batch, channel, z, y, x]."""

    def __init__(self, op: Any, parameters: dict[str, np.ndarray]):
        """Prepares to make nodes.

        Args:
            op: the operations of OpenVINO that they are made of.
            parameters: of the encoder, by their paths.
        """
        self._op, self._parameters = op, parameters

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
