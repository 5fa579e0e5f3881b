"""An encoder at the places of a protocol: its embeddings there, and how stable they are."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float32

from embed.backends.choice import open_backend
from embed.checkpoint import TrainedEncoder
from embed.dense import embed_grid
from embed.errors import MismatchError
from embed.evaluation import bodies
from embed.evaluation.places import Places
from embed.evaluation.protocol import Protocol
from embed.normaliser import measure
from embed.training.augment import AugmentConfig, change_grey
from embed.training.symmetry import symmetry_table, turn

_BATCH = 128
_CHANGES = 2
# Gain and offset alone: what differs between microscopes, without blur and noise.
_GREY = AugmentConfig(curve=0.0, blur=0.0, noise=0.0)


def input_of(encoder: TrainedEncoder, task: Protocol) -> dict[str, str]:
    """What a report says of the input, where that is not the field of view as it is.

    Raises:
        MismatchError: the encoder needs masks, and the protocol has no segmentation.
    """
    if not encoder.masked:
        return {}
    if task.segments is None:
        raise MismatchError(
            "this encoder was trained on fields of view that show one segment, and the protocol "
            f"has no segmentation of {task.volume.name} to mask them with: use P-FIB, or an "
            "encoder that was trained without masks"
        )
    return {"input": "fields of view masked to the segment in their middle, random encoders too"}


class Candidate:
    """An encoder at the places of a protocol; one that is `masked` sees them masked."""

    def __init__(self, encoder: TrainedEncoder, task: Protocol):
        self._segments = task.segments if input_of(encoder, task) else None
        self._encoder = encoder
        self._backend = open_backend(encoder)
        self._volume = task.volume
        self._places = task.places
        self._grey = measure(task.volume)(task.grey)

    def embeddings(self) -> Float32[np.ndarray, "n dim"]:
        """One per place; computed densely where the places are a grid that the encoder can make."""
        grids, step = self._places.grids, self._encoder.stride
        if (
            grids
            and self._segments is None
            and all((np.asarray(grid.stride) % step == 0).all() for grid in grids)
        ):
            return np.concatenate([self._dense(i) for i in range(len(grids))])
        found = [self._embed(self._blocks(p) * self._masks(p)) for p in _batches(self._places)]
        return np.concatenate(found)

    def stability(self, seed: int) -> dict[str, float]:
        """How alike the embeddings of a place are when what it shows is changed.

        The changes are the symmetries of the voxel grid and the gain and offset of training.

        Returns:
            `stability`: mean cosine of a place before and after a change; `cosine_between`: mean
            cosine of two places, without which the first means little, since an encoder that
            sees nothing is stable too.
        """
        rng = np.random.default_rng(seed)
        chosen = self._places.take(rng.permutation(len(self._places))[:_BATCH])
        blocks, masks = self._blocks(chosen), self._masks(chosen)
        still = self._embed(blocks * masks)
        cosines = [
            (still * self._embed(self._changed(blocks, masks, key, rng))).sum(axis=1)
            for key in jax.random.split(jax.random.key(seed), _CHANGES)
        ]
        between = (still @ still.T)[~np.eye(len(still), dtype=bool)]
        return {
            "stability": float(np.mean(cosines)),
            "cosine_between": float(between.mean()),
        }

    def _dense(self, index: int) -> Float32[np.ndarray, "n dim"]:
        grid = self._places.grids[index]
        box = grid.voxels(grid.cells).shifted(self._volume.box.start)
        _, cells = embed_grid(self._backend, self._volume, box, grid.stride)
        return cells.reshape(-1, self._encoder.embedding_dim)

    def _blocks(self, places: Places) -> Float32[np.ndarray, "n z y x"]:
        return np.stack([self._grey[window] for window in places.windows()])

    def _masks(self, places: Places) -> Float32[np.ndarray, "n z y x"]:
        """1 where a field of view is to be seen, 0 elsewhere."""
        if self._segments is None:
            return np.ones((len(places), *places.fov), np.float32)
        return np.stack([*bodies.masks_of(self._segments, places)]).astype(np.float32)

    def _embed(self, blocks: Float32[np.ndarray, "n z y x"]) -> Float32[np.ndarray, "n dim"]:
        padded = np.zeros((_BATCH, *self._encoder.fov), np.float32)  # one shape, compiled once
        padded[: len(blocks)] = blocks
        return self._backend(padded)[: len(blocks), 0, 0, 0]

    def _changed(
        self,
        blocks: Float32[np.ndarray, "n z y x"],
        masks: Float32[np.ndarray, "n z y x"],
        key: jax.Array,
        rng: np.random.Generator,
    ) -> Float32[np.ndarray, "n z y x"]:
        """Each block under a symmetry and a grey-value change of its own, then masked."""
        table = np.asarray(symmetry_table(self._encoder.voxel_size_nm))
        lengths = np.asarray(self._encoder.fov)
        # An order of axes that changes the shape of the field of view is no symmetry of it.
        table = table[(lengths[table[:, :3]] == lengths).all(axis=1)]
        symmetries = jax.numpy.asarray(table[rng.integers(len(table), size=len(blocks))])
        keys = jax.random.split(key, len(blocks))
        return np.asarray(_change(keys, *map(jax.numpy.asarray, (blocks, masks)), symmetries))


_change = jax.jit(
    jax.vmap(lambda key, block, mask, s: change_grey(key, turn(block, s), _GREY) * turn(mask, s))
)


def _batches(places: Places) -> Sequence[Places]:
    starts = range(0, len(places), _BATCH)
    return [places.take(np.arange(a, min(a + _BATCH, len(places)))) for a in starts]
