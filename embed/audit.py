"""Checking a finished atlas: its bytes against their checksums, a sample against the volume."""

import numpy as np
from jaxtyping import Float

from embed.atlas import Atlas
from embed.backends.backend import AGREE, Precision
from embed.errors import DataError
from embed.geometry import Box
from embed.job import Job
from embed.ledger import Mark
from embed.storage import digest


def verify(atlas: Atlas, *, recompute: int = 1) -> list[Box]:
    """Re-reads every finished shard against its checksum and recomputes some of them.

    Shards that do not agree lose their mark, so that running the job again redoes them.

    Args:
        atlas: to check.
        recompute: how many shards, spread over the atlas, to compute again from the volume. The
            same backend on the same processor gives the same bits; another may differ by rounding,
            as far as the precision allows.

    Returns:
        The shards that did not agree.

    Raises:
        DataError: the voxels of one to recompute cannot be read, which says nothing against it.
    """
    finished = atlas.finished()
    shards = list(finished)
    again = set(shards[:: max(1, len(shards) // max(recompute, 1))][:recompute])
    job = Job.open(atlas) if again else None
    bad = []
    for shard, mark in finished.items():
        agrees = _stored_digest(atlas, shard) == mark.digest
        if agrees and job and shard in again:
            agrees = _recomputes(job, shard, mark)
        if not agrees:
            atlas.ledger.forget(atlas.shard_index(shard))
            bad.append(shard)
    return bad


def _recomputes(job: Job, shard: Box, mark: Mark) -> bool:
    computed, found = job.attempt(shard)
    if found.state == "failed":
        raise DataError(f"cannot compute {shard} again: {found.reason}")
    if computed is None or found.digest == mark.digest:
        return found.digest == mark.digest
    store = job.atlas.store
    now, before = store.decode(computed), store.read(shard)
    return _agree(
        now.reshape(shard.size, -1), before.reshape(shard.size, -1), job.backend.precision
    )


def _agree(
    now: Float[np.ndarray, "n dim"], before: Float[np.ndarray, "n dim"], precision: Precision
) -> bool:
    """Whether two computations of the same locations differ by rounding alone."""
    lengths = [np.linalg.norm(vectors, axis=1) for vectors in (now, before)]
    if ((lengths[0] > 0) != (lengths[1] > 0)).any():
        return False
    data = lengths[0] > 0
    cosines = np.einsum("nc,nc->n", now[data], before[data]) / np.multiply(*lengths)[data]
    return bool(cosines.min() >= AGREE[precision])


def _stored_digest(atlas: Atlas, shard: Box) -> str:
    try:
        stored = atlas.store.read_stored(shard)
    except DataError:
        return "unreadable"
    return digest(stored.tobytes()) if stored.any() else ""
