"""Searches of `voxkin serve`, over TLS and with a token, beside the same in one process.

What they cost the server, and how long they take.
"""

import contextlib
import functools
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from serve.access import Access
from serve.address import Address, parse_address
from serve.gate.quota import Limits
from serve.gate.tokens import Grant, digest_of, line_of
from serve.pb.voxkin.v1 import search_pb2_grpc
from serve.queries import Query, Wish
from serve.served import ServedAtlas
from serve.wire import query_codec
from tests.benchmarks.served_load import Asked, load
from tests.benchmarks.timing import cpu_s
from tests.certificates import Authority

TOGETHER, HEAVY_MS, CALLS = 64, 2.0, 32
TOKEN = "vox_token-of-a-benchmark"


def served(atlas: Path, vectors: np.ndarray, rounds: int) -> dict[str, float]:
    """Ratios of the server's CPU to that in one process, and of slow calls to usual ones.

    Args:
        atlas: with an index.
        vectors: to search for, at least 64.
        rounds: of which the median counts.
    """
    here = ServedAtlas.open(atlas)
    wish, together = Wish(), vectors[:TOGETHER]
    heavy = _heavy(here, vectors)
    with _server(atlas) as server:
        each_request = query_codec.each_request(atlas.name, together, wish)
        heavy_request = query_codec.find_request(atlas.name, heavy, wish)
        stub = server.stub
        kinds: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "64": (lambda: stub.FindEach(each_request), lambda: here.find_each(together, wish)),
            "heavy": (lambda: stub.FindSimilar(heavy_request), lambda: here.find(heavy, wish)),
        }
        found: dict[str, float] = {}
        for name, (there, local) in kinds.items():
            costs = [_in_turn(server, there, local) for _ in range(rounds + 1)][1:]
            found[f"served_ratio_{name}"] = statistics.median(a / b for a, b in costs)
            found[f"in_process_ms_{name}"] = statistics.median(b for _, b in costs) / CALLS * 1e3
        loads = load(Asked(server.at, server.access, atlas.name, vectors), rounds)
        return found | {key: statistics.median(load[key] for load in loads) for key in loads[0]}


def _in_turn(
    server: "_Server", there: Callable[[], object], local: Callable[[], object]
) -> tuple[float, float]:
    """CPU seconds of some calls of a server and of the same in this process, one after the other.

    In turn, so that both find the caches as cold: a search that follows itself costs half as much.
    """
    costs = [(server.cpu_s(there), cpu_s(local)) for _ in range(CALLS)]
    return sum(a for a, _ in costs), sum(b for _, b in costs)


def _heavy(here: ServedAtlas, vectors: np.ndarray) -> Query:
    """A query by as many examples as it takes to cost so many milliseconds."""
    for count in 2 ** np.arange(int(np.log2(len(vectors))) + 1):
        query = Query(like=tuple(vectors[:count]), mode="best")
        find = functools.partial(here.find, query, Wish())
        if min(cpu_s(find) for _ in range(10)) * 1e3 >= HEAVY_MS:
            break
    return query


class _Server:
    """A server in a process of its own, and who asks it."""

    def __init__(
        self, process: subprocess.Popen[str], at: Address, access: Access, stub: Any
    ) -> None:
        self.at, self.access, self.stub = at, access, stub
        # Linux makes the clock of a process from its number; it counts finer than /proc does.
        self._clock = (~process.pid << 3) | 2

    def cpu_s(self, work: Callable[[], object]) -> float:
        """CPU seconds of its process while some work is done."""
        before = time.clock_gettime(self._clock)
        work()
        return time.clock_gettime(self._clock) - before


@contextlib.contextmanager
def _server(atlas: Path) -> Iterator[_Server]:
    """`voxkin serve` with clients, ended with the block; on as many threads as it takes itself."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        issued = Authority(folder).issue()
        grant = Grant("bench", frozenset({"read"}), digest_of(TOKEN), Limits(1e6, 64.0, 64))
        (folder / "tokens").write_text(line_of(grant))
        words = f"serve {atlas} --grpc 127.0.0.1:0 --http 127.0.0.1:0 --tokens {folder / 'tokens'}"
        tls = f"--tls-cert {issued.certificate} --tls-key {issued.key} --json"
        process = subprocess.Popen(
            [Path(sys.executable).with_name("voxkin"), *words.split(), *tls.split()],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        assert process.stdout is not None
        told = itertools.takewhile(lambda line: line != "}\n", process.stdout)  # it goes on
        at = parse_address(json.loads("".join(told) + "}")["grpc"])
        access = Access(TOKEN, ca=folder / "authority.pem")
        channel = stack.enter_context(access.open_channel(at, ()))
        yield _Server(process, at, access, search_pb2_grpc.SearchServiceStub(channel))
