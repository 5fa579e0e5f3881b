"""What `voxkin embed` tells while it runs: progress, events for programs, Prometheus metrics."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from embed.atlas import Atlas
from embed.errors import UnavailableError
from embed.geometry import Box
from embed.inference import Progress, remaining
from embed.ledger import Mark
from embed.peak import peak_flops
from embed.storage import reports_storage
from serve.verbs.console import Advance, note, progress

# For a job of less than some seconds the peak of the machine is not worth measuring.
_LONG = 100_000


@contextlib.contextmanager
def telling(
    atlas: Atlas,
    operations: float,
    *,
    here: bool = True,
    events: Path | None = None,
    port: int | None = None,
) -> Iterator[Progress]:
    """Shows how an atlas fills.

    Args:
        atlas: as it is at the start.
        operations: multiplications and additions of one location.
        here: whether this machine alone computes, so that the share of its peak means something.
        events: a file that gets one line of JSON for the start, each shard and the end.
        port: of the loopback, for Prometheus.

    Yields:
        What is to be called with each shard that is written.

    Raises:
        StorageError: the file of events cannot be written.
        UnavailableError: the port is in use.
    """
    left = sum(shard.size for shard in remaining(atlas))
    peak = peak_flops(atlas.info.kind_and_precision[1]) if here and left > _LONG else 0.0
    with (
        progress("embedding", atlas.planned, "locations") as advance,
        _appending(events) as write,
        _serving(port) as counted,
    ):
        state = _State(atlas.planned - left, advance, operations / peak if peak else 0.0)
        write({"event": "start", "atlas": str(atlas.path), "left": left, "planned": atlas.planned})

        def tell(shard: Box, mark: Mark) -> None:
            state.add(shard, mark)
            write({"event": "shard", "cells_zyx": [shard.start, shard.stop], **_told(mark)})
            counted(mark)

        yield tell
        write({"event": "end", "done": state.done, "planned": atlas.planned})


@dataclasses.dataclass
class _State:
    """How far it is.

    Attributes:
        done: locations, those of earlier runs among them.
        advance: moves the bar.
        location_s: seconds that a location would take at the peak of the machine; 0 if unknown.
    """

    done: int
    advance: Advance
    location_s: float
    voids: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._computed = 0
        self.advance(self.done)

    def add(self, shard: Box, mark: Mark) -> None:
        self.done += shard.size
        self.voids += mark.voids - mark.unwanted
        self.failed += mark.state == "failed"
        self._computed += mark.locations - mark.voids if mark.state == "done" else 0
        elapsed = time.monotonic() - self._began
        share = self._computed * self.location_s / elapsed if elapsed > 0 else 0
        notes = (
            f"{share:.0%} of peak" if share else "",
            f"{self.voids:,} void" if self.voids else "",
            f"{self.failed:,} shards failed" if self.failed else "",
        )
        self.advance(self.done, " · ".join(filter(None, notes)))


def _told(mark: Mark) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(mark).items() if k not in ("plan", "digest") and v}


@contextlib.contextmanager
def _appending(path: Path | None) -> Iterator[Any]:
    if path is None:
        yield lambda _event: None
        return
    with reports_storage(f"write the events to {path}"), path.open("a") as file:

        def write(event: dict[str, Any]) -> None:
            file.write(json.dumps({"time": round(time.time(), 3), **event}) + "\n")
            file.flush()

        yield write


@contextlib.contextmanager
def _serving(port: int | None) -> Iterator[Any]:
    if port is None:
        yield lambda _mark: None
        return
    registry = CollectorRegistry()
    shards = Counter("voxkin_embed_shards", "Shards that ended.", ("state",), registry=registry)
    computed = Counter("voxkin_embed_locations", "Locations embedded.", registry=registry)
    last = Gauge("voxkin_embed_last_shard_timestamp_seconds", "When.", registry=registry)
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except OSError as error:
        raise UnavailableError(f"cannot serve metrics on port {port}: {error.strerror}") from None
    note(f"metrics are at http://127.0.0.1:{server.server_port}/metrics")

    def count(mark: Mark) -> None:
        shards.labels(mark.state).inc()
        computed.inc(mark.locations - mark.voids if mark.state == "done" else 0)
        last.set_to_current_time()

    try:
        yield count
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
