"""What the processes do that the tests of survival kill: embed an atlas, and tell how far it is."""

from multiprocessing.connection import Connection
from pathlib import Path

from embed.atlas import Atlas
from embed.geometry import Box
from embed.inference import embed_shards, remaining
from embed.ledger import Mark


def embed(path: Path, pipe: Connection) -> None:
    """Embeds what remains of an atlas.

    It says `open` when it has opened the atlas, and waits for an answer before it goes on; the
    state and the index of each shard when it is written; and `end` with the number that failed.
    """

    def progress(shard: Box, mark: Mark) -> None:
        pipe.send((mark.state, atlas.shard_index(shard)))

    atlas = Atlas.open(path)
    todo = remaining(atlas)
    pipe.send(("open", len(todo)))
    pipe.recv()
    failed = embed_shards(atlas, todo, progress=progress)
    pipe.send(("end", len(failed)))
