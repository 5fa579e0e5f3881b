"""The network run over blocks: whole volumes in memory, cut-outs, single places.

Because every convolution is valid, an embedding is the same whichever block it was computed in.
"""

import itertools
import math
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float, Float32, Shaped

from embed.backends.backend import Backend
from embed.checkpoint import TrainedEncoder
from embed.errors import MismatchError, OutOfBoundsError
from embed.geometry import Box, Grid, Zyx, zyx
from embed.normaliser import Normaliser, measure
from embed.operations import of_one, per_location
from embed.segments import of_centre
from embed.suitability import require_stride
from embed.volume import Volume

MEMORY = 512 * 2**20
"""Bytes that the activations of a block may take."""

# Cells per edge of a block, from the best to what fits anywhere.
_EDGES = (32, 24, 16, 12, 8, 4)
_PATCHES = 128

Slices = tuple[slice, ...]


def block_shape(encoder: TrainedEncoder, stride: Zyx, memory: int = MEMORY) -> Zyx:
    """Cells of a grid to embed at once, ZYX: up to 32 an edge, as memory allows.

    The halo of a block is computed for nothing, so larger ones are cheaper: by a tenth from 16 to
    32 cells.

    Args:
        encoder: the encoder.
        stride: voxels between cells, ZYX.
        memory: bytes that the activations of a block may take.
    """
    for edge in _EDGES:
        # As many voxels as at the stride of the encoder, however far apart or near the cells are.
        cells = zyx(
            max(1, min(_EDGES[0], edge * own // step))
            for own, step in zip(encoder.stride, stride, strict=True)
        )
        if _activations(encoder, _voxels(encoder, stride, cells)) <= memory:
            break
    return cells


def embed_blocks(
    backend: Backend,
    normaliser: Normaliser,
    grid: Grid,
    blocks: Iterable[tuple[Box, Shaped[np.ndarray, "vz vy vx"]]],
    half: bool = False,
) -> Iterator[tuple[Box, Float[np.ndarray, "z y x dim"]]]:
    """Embeds boxes of cells, several at a time where the backend has several devices.

    Args:
        backend: runs the encoder.
        normaliser: of the grey values of the volume.
        grid: its field of view, and a stride that is a multiple of its own or divides it.
        blocks: cells, and the voxels that they see: `grid.voxels(cells)`.
        half: whether embeddings are rounded to float16.

    Yields:
        The boxes in the same order, and the embeddings of their cells.
    """

    def embed(part: tuple[Box, np.ndarray]) -> tuple[Box, np.ndarray]:
        cells, voxels = part
        return cells, embed_block(backend, normaliser, grid, cells.shape, voxels, half)

    if backend.parallel == 1:  # a thread of its own would cost it some percent
        yield from map(embed, blocks)
        return
    with ThreadPoolExecutor(backend.parallel, thread_name_prefix="voxkin-embed") as pool:
        upcoming = iter(blocks)
        while group := list(itertools.islice(upcoming, backend.parallel)):
            yield from pool.map(embed, group)


def embed_block(
    backend: Backend,
    normaliser: Normaliser,
    grid: Grid,
    cells: Zyx,
    voxels: Shaped[np.ndarray, "vz vy vx"],
    half: bool = False,
) -> Float[np.ndarray, "z y x dim"]:
    """Embeds a block of cells of a grid.

    A stride finer than the encoder's takes several passes, each shifted by one stride; where it is
    so coarse that fields of view have little in common, each is embedded by itself.

    Args:
        backend: runs the encoder.
        normaliser: of the grey values of the volume.
        grid: its field of view, and a stride that is a multiple of its own or divides it.
        cells: how many, ZYX.
        voxels: what they see.
        half: whether embeddings are rounded to float16.

    Raises:
        DataError: a value is NaN or infinite.
    """
    if is_coarse(backend.encoder, grid.stride):
        alone = _one_by_one(backend, normaliser, grid, cells, voxels)
        return alone.astype(np.float16) if half else alone
    grey = normaliser(voxels, _scratch(voxels.shape))
    out = np.empty((*cells, backend.encoder.embedding_dim), np.float16 if half else np.float32)
    config, steps = backend.encoder.config, _steps(backend.encoder, grid.stride)
    # Cells of one pass: few shapes, where a backend wants few.
    fill = backend.fill
    most = zyx(-(-n // (fill * p)) * fill for n, (p, _) in zip(cells, steps, strict=True))
    shape = config.voxels(zyx((n - 1) * e + 1 for n, (_, e) in zip(most, steps, strict=True)))
    for offset in itertools.product(*(range(p) for p, _ in steps)):
        kept: Slices = tuple(slice(o, None, p) for o, (p, _) in zip(offset, steps, strict=True))
        if not out[kept].size:
            continue
        ends = zip(offset, grid.stride, shape, strict=True)
        seen: Slices = tuple(slice(o * s, o * s + n) for o, s, n in ends)
        part = grey[seen]
        if part.shape != shape:
            part = np.pad(part, [(0, n - m) for n, m in zip(shape, part.shape, strict=True)])
        z, y, x = (slice(None, None, e) for _, e in steps)
        dense = backend(part[None], half)[0][z, y, x]
        out[kept] = dense[tuple(map(slice, out[kept].shape[:3]))]
    return out


_OF_THREAD = threading.local()


def _scratch(shape: tuple[int, ...]) -> Float32[np.ndarray, "vz vy vx"]:
    """Memory that this thread normalises one block after the other in.

    The system clears fresh memory first, which costs a percent of the network.
    """
    size = math.prod(shape)
    kept: np.ndarray | None = getattr(_OF_THREAD, "kept", None)
    if kept is None or kept.size < size:
        kept = _OF_THREAD.kept = np.empty(size, np.float32)
    return kept[:size].reshape(shape)


def is_coarse(encoder: TrainedEncoder, stride: Zyx) -> bool:
    """Whether fields of view so far apart, ZYX, are cheaper to embed one by one."""
    shared = per_location(encoder.config, stride, block_shape(encoder, stride))
    return of_one(encoder.config) < shared


def _one_by_one(
    backend: Backend,
    normaliser: Normaliser,
    grid: Grid,
    cells: Zyx,
    voxels: Shaped[np.ndarray, "vz vy vx"],
) -> Float32[np.ndarray, "z y x dim"]:
    windows = np.lib.stride_tricks.sliding_window_view(voxels, grid.fov)
    z, y, x = (slice(0, (n - 1) * s + 1, s) for n, s in zip(cells, grid.stride, strict=True))
    fields = windows[z, y, x].reshape(-1, *grid.fov)
    return embed_fields(backend, normaliser(fields)).reshape(*cells, -1)


def embed_fields(
    backend: Backend, fields: Float32[np.ndarray, "n z y x"]
) -> Float32[np.ndarray, "n dim"]:
    """Embeds fields of view one by one, in batches of few shapes so that few are compiled."""
    out = np.empty((len(fields), backend.encoder.embedding_dim), np.float32)
    for first in range(0, len(fields), _PATCHES):
        part = fields[first : first + _PATCHES]
        batch = min(_PATCHES, 1 << (len(part) - 1).bit_length())
        padded = np.zeros((batch, *fields.shape[1:]), np.float32)
        padded[: len(part)] = part
        out[first : first + len(part)] = backend(padded)[: len(part), 0, 0, 0]
    return out


def embed_cutout(
    backend: Backend, cutout: Shaped[np.ndarray, "z y x"], normaliser: Normaliser
) -> Float32[np.ndarray, "cz cy cx dim"]:
    """Embeds every field of view of a small block of grey values, the encoder's stride apart.

    Raises:
        OutOfBoundsError: the block is smaller than the field of view.
        DataError: it holds NaN or infinite values.
    """
    fov = backend.encoder.fov
    if any(n < f for n, f in zip(cutout.shape, fov, strict=True)):
        raise OutOfBoundsError(
            f"a cut-out of {cutout.shape} voxels (ZYX) is smaller than the field of view; it needs "
            f"at least {fov}"
        )
    return backend(normaliser(cutout)[None])[0]


def embed_grid(
    backend: Backend, volume: Volume, box: Box | None = None, stride: Zyx | None = None
) -> tuple[Grid, Float32[np.ndarray, "z y x dim"]]:
    """Dense embeddings of a volume that fits in memory, without writing them anywhere.

    Args:
        backend: runs the encoder.
        volume: the volume, of the encoder's voxel size.
        box: voxels to embed; the whole volume if not given.
        stride: voxels between locations, ZYX; the encoder's, which is the default, or such that
            one is a multiple of the other on every axis.

    Raises:
        OutOfBoundsError: the box leaves the volume or is smaller than the field of view.
        ConfigError: the stride does not go with the encoder's.
        DataError: a chunk is corrupt or holds NaN.
    """
    encoder = backend.encoder
    step = stride or encoder.stride
    require_stride(encoder, step)
    grid = Grid.covering(box or volume.box, encoder.fov, step)
    normaliser = measure(volume)
    out = np.empty((*grid.shape, encoder.embedding_dim), np.float32)
    tiles = grid.cells.tiles(block_shape(encoder, step))
    blocks = ((cells, volume.read(grid.voxels(cells))) for cells in tiles)
    for cells, vectors in embed_blocks(backend, normaliser, grid, blocks):
        out[cells.slices] = vectors
    return grid, out


def embed_at(
    backend: Backend,
    volume: Volume,
    centres: Float[np.ndarray, "n 3"],
    segmentation: Volume | None = None,
) -> Float32[np.ndarray, "n dim"]:
    """Embeddings at any places, one field of view at a time.

    Args:
        backend: runs the encoder.
        volume: the volume, of the encoder's voxel size.
        centres: continuous voxels, ZYX; each is rounded to the nearest field of view.
        segmentation: integer ids on the same grid, 0 for none; a field of view then shows only the
            segment in its middle, and 0 around it. An encoder that is `masked` needs it.

    Raises:
        OutOfBoundsError: a field of view leaves the volume.
        MismatchError: the encoder needs a segmentation.
        DataError: the middle of a field of view belongs to no segment.
    """
    encoder = backend.encoder
    if encoder.masked and segmentation is None:
        raise MismatchError(
            "this encoder was trained on fields of view that show one segment: to embed places of "
            f"{volume.name} it needs a segmentation of that volume"
        )
    normaliser = measure(volume)
    starts = np.rint(np.asarray(centres) - np.asarray(encoder.fov) / 2).astype(int)
    out = np.empty((len(starts), encoder.embedding_dim), np.float32)
    for first in range(0, len(starts), _PATCHES):
        part = starts[first : first + _PATCHES]
        fields = np.empty((len(part), *encoder.fov), np.float32)
        for field, start in zip(fields, part, strict=True):
            box = Box.of_shape(encoder.fov, zyx(start))
            field[...] = normaliser(volume.read(box))
            if segmentation is not None:
                field *= of_centre(segmentation.read(box))
        out[first : first + len(part)] = embed_fields(backend, fields)
    return out


def _steps(encoder: TrainedEncoder, stride: Zyx) -> tuple[tuple[int, int], ...]:
    """Per axis, passes of the network over a block, and cells of a pass per cell that is kept."""
    pairs = zip(encoder.stride, stride, strict=True)
    return tuple((max(1, own // s), max(1, s // own)) for own, s in pairs)


def _voxels(encoder: TrainedEncoder, stride: Zyx, cells: Zyx) -> Zyx:
    return Grid((0, 0, 0), encoder.fov, stride, cells).voxels(Box.of_shape(cells)).shape


def _activations(encoder: TrainedEncoder, voxels: Zyx) -> int:
    """Bytes of float32 activations that a block takes: the block and what each stage gives, twice.

    A stage's result lives beside its input and what is made of it.
    """
    size, total = voxels, math.prod(voxels)
    for stage in encoder.config.stages:
        axes = zip(size, stage.kernel, stage.stride, strict=True)
        size = zyx(max(1, (n - k) // s + 1) for n, k, s in axes)
        total += 2 * stage.width * math.prod(size)
    return 4 * total
