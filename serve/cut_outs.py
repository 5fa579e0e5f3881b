"""Embedding voxels that are sent along as the volume of an atlas was embedded."""

import numpy as np
from jaxtyping import Shaped

from embed.backends.backend import Backend
from embed.checkpoint import TrainedEncoder
from embed.dense import embed_cutout
from embed.errors import DataError, RequestError
from embed.geometry import Zyx, zyx
from embed.normaliser import Normaliser
from serve.wire.answers import CutOutEmbeddings

# Of a cut-out, per axis: 4,096 embeddings take a tenth of a second on two cores.
_MOST_CELLS = 16


def embed_cut_out(
    backend: Backend,
    encoder: TrainedEncoder,
    normaliser: Normaliser,
    cutout: Shaped[np.ndarray, "z y x"],
) -> CutOutEmbeddings:
    """The embeddings of a cut-out.

    Args:
        backend: runs the encoder.
        encoder: that made the atlas.
        normaliser: of the volume of the atlas.
        cutout: grey values at the voxel size of the atlas.

    Raises:
        RequestError: it is smaller than the field of view, larger than is taken at once, or holds
            NaN, infinite or no values.
    """
    cells = _cells(cutout, encoder)
    # Voxels past the last field of view would only make one more shape to compile for.
    used = cutout[tuple(slice(n) for n in encoder.config.voxels(cells))]
    try:
        vectors = embed_cutout(backend, used, normaliser)
    except DataError as error:
        raise RequestError(f"the cut-out cannot be embedded: {error}") from error
    centre = vectors[_middle(cutout.shape, encoder, cells)]
    return CutOutEmbeddings(vectors, centre, encoder.stride, encoder.fov)


def _cells(cutout: Shaped[np.ndarray, "z y x"], encoder: TrainedEncoder) -> Zyx:
    """How many embeddings per axis a cut-out gives.

    Raises:
        RequestError: none, or more than are computed at once.
    """
    least, most = encoder.fov, encoder.config.voxels((_MOST_CELLS,) * 3)
    if any(n < f for n, f in zip(cutout.shape, least, strict=True)) or any(
        n > m for n, m in zip(cutout.shape, most, strict=True)
    ):
        raise RequestError(
            f"a cut-out is at least one field of view, {_by(least)} voxels (XYZ), and at most "
            f"{_by(most)}; got {_by(zyx(cutout.shape))}"
        )
    return encoder.config.cells(zyx(cutout.shape))


def _middle(shape: tuple[int, ...], encoder: TrainedEncoder, cells: Zyx) -> Zyx:
    """The cell whose field of view is nearest to the middle of a cut-out."""
    axes = zip(shape, encoder.fov, encoder.stride, cells, strict=True)
    return zyx(min(round((n - f) / 2 / s), count - 1) for n, f, s, count in axes)


def _by(shape: Zyx) -> str:
    z, y, x = shape
    return f"{x} x {y} x {z}"
