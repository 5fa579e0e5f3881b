"""What the tests have Ray's workers do with a shard: the real thing, and then and now their end."""

import os
import signal
import threading
import time
import uuid
from pathlib import Path

from embed.geometry import Box
from embed.inference import run_shard
from embed.ledger import Mark


def run(atlas: Path, notes: Path, shard: Box) -> Mark:
    """Notes that the shard was begun, and where, and runs it."""
    note(notes, shard)
    return run_shard(atlas, shard)


def run_slowly(atlas: Path, notes: Path, shard: Box) -> Mark:
    """Waits a while before it is done, so that others can be quicker."""
    note(notes, shard)
    time.sleep(0.3)
    return run_shard(atlas, shard)


def run_and_die_at_first(atlas: Path, notes: Path, doomed: Box, shard: Box) -> Mark:
    """Kills its process in the middle of the doomed shard, the first time."""
    note(notes, shard)
    if shard == doomed and begun(notes, shard) == 1:
        # About when the encoder is loaded; at the latest before the result is handed back.
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGKILL)).start()
        run_shard(atlas, shard)
        time.sleep(60)
    return run_shard(atlas, shard)


def run_and_die(atlas: Path, notes: Path, doomed: Box, shard: Box) -> Mark:
    """Kills its process whenever it has the doomed shard."""
    note(notes, shard)
    if shard == doomed:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_shard(atlas, shard)


def run_until_lost(atlas: Path, notes: Path, first: str, shard: Box) -> Mark:
    """Waits, on every node but the first, for its node to be lost.

    The first node waits for another to have begun: it could else do everything by itself.
    """
    import ray

    waiting = notes / "waiting"
    if ray.get_runtime_context().get_node_id() != first:
        waiting.write_text(str(os.getpid()))
        time.sleep(60)
    until = time.monotonic() + 60
    while not waiting.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return run_shard(atlas, shard)


def note(notes: Path, shard: Box) -> None:
    (notes / f"{name(shard)}-{uuid.uuid4()}").touch()


def begun(notes: Path, shard: Box) -> int:
    """How often a shard was begun."""
    return len(list(notes.glob(f"{name(shard)}-*")))


def name(shard: Box) -> str:
    return ".".join(map(str, shard.start))
