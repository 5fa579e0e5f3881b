"""What an embedding costs: multiplications and additions, counted from the shape of an encoder."""

import math

from embed.encoder import EncoderConfig
from embed.geometry import Zyx, zyx


def of_block(config: EncoderConfig, cells: Zyx) -> int:
    """Operations of the network over a block that gives so many cells, ZYX, halo included.

    A multiplication and an addition are two. Only products are counted; what lies between them
    (normalisation, ReLU) is some percent.
    """
    size, channels, total = config.voxels(cells), 1, 0
    for stage in config.stages:
        axes = zip(size, stage.kernel, stage.stride, strict=True)
        size = zyx((n - k) // s + 1 for n, k, s in axes)
        window = math.prod(stage.kernel) * channels * stage.width
        pointwise = 2 * stage.blocks * stage.width**2
        total += 2 * math.prod(size) * (window + pointwise)
        channels = stage.width
    features = sum(config.stages[i].width for i in config.read)
    if config.filters:
        total += _of_filters(config, cells)
        features += config.bank.count
    if config.tones:
        total += _of_means(config, cells)
    if config.angles:
        features += config.embedding_dim + 2 * config.angles
    return total + 2 * math.prod(cells) * features * config.embedding_dim


def _of_filters(config: EncoderConfig, cells: Zyx) -> int:
    """Operations of the three passes of the filters."""
    size, bank, total = config.voxels(cells), config.bank, 0
    for axis in range(3):
        size = zyx(cells[a] if a == axis else n for a, n in enumerate(size))
        before = len(bank.orders(axis - 1)) if axis > 0 else 1
        products = config.fov[axis] * before * len(bank.orders(axis)) * len(bank.scales)
        total += 2 * math.prod(size) * products
    return total


def _of_means(config: EncoderConfig, cells: Zyx) -> int:
    """Operations of the three passes of the means that are read as angles."""
    size, total = config.voxels(cells), 0
    for axis in range(3):
        size = zyx(cells[a] if a == axis else n for a, n in enumerate(size))
        total += 2 * math.prod(size) * config.fov[axis] * len(config.tones)
    return total


def per_location(config: EncoderConfig, stride: Zyx, block: Zyx) -> float:
    """Operations per location of a grid that is embedded block by block.

    Args:
        config: of the encoder.
        stride: voxels between locations, ZYX: multiples of the encoder's, or such that divide it.
        block: locations that are embedded at once, ZYX.
    """
    pairs = [*zip(config.stride, stride, block, strict=True)]
    passes = math.prod(max(1, own // step) for own, step, _ in pairs)
    own_cells = zyx(
        (-(-n // max(1, own // step)) - 1) * max(1, step // own) + 1 for own, step, n in pairs
    )
    return passes * of_block(config, own_cells) / math.prod(block)


def of_one(config: EncoderConfig) -> int:
    """Operations of a single field of view by itself."""
    return of_block(config, (1, 1, 1))
