"""The shards of an atlas on an engine."""

import functools
from collections.abc import Sequence

from embed.atlas import Atlas
from embed.engines.engine import Engine, Failure
from embed.geometry import Box
from embed.inference import Progress, run_shard
from embed.ledger import Mark


def embed_on(
    engine: Engine, atlas: Atlas, shards: Sequence[Box], *, progress: Progress
) -> list[tuple[Box, Mark]]:
    """Does shards of an atlas where an engine runs them.

    Args:
        engine: its workers see the atlas and the volume under the paths that this process does.
        atlas: laid out.
        shards: which.
        progress: called with each shard when it is written.

    Returns:
        The shards that failed, with their marks; those that cost their workers among them.

    Raises:
        VoxkinError: what would stop the others, too, such as a full disk or a missing backend.
        UnavailableError: there is nowhere to run.
    """
    failed = []
    for shard, result in engine.run(functools.partial(run_shard, atlas.path.resolve()), shards):
        if isinstance(result, Failure) and result.error is not None:
            raise result.error
        mark = result if isinstance(result, Mark) else _lost(atlas, shard, result)
        if mark.state == "failed":
            failed.append((shard, mark))
        progress(shard, mark)
    return failed


def _lost(atlas: Atlas, shard: Box, failure: Failure) -> Mark:
    """The mark of a shard whose worker could not say how it ended."""
    plan = atlas.plan(shard)
    mark = Mark("failed", locations=shard.size, reason=failure.reason, plan=plan)
    atlas.ledger.record(atlas.shard_index(shard), mark)
    return mark
