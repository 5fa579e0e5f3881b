"""Searches of a server beside the same in one process: CPU of the server, and how long calls take.

    python -m tests.benchmarks.served_search ATLAS

serves an atlas over TLS and to a token until its input ends, and answers each line of it with the
CPU seconds of its process.
"""

import contextlib
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np

from serve import query_codec
from serve.access import Access
from serve.address import parse_address
from serve.credentials import TlsFiles
from serve.pb.voxkin.v1 import search_pb2_grpc
from serve.queries import Query, Wish
from serve.quota import Limits
from serve.served import ServedAtlas
from serve.server import Settings, start_server
from serve.tokens import Grant, digest_of, line_of
from tests.benchmarks.timing import cpu_s
from tests.certificates import Authority

CLIENTS, TOGETHER = 32, 64
HEAVY_MS = 2.0
CALLS, LOAD_S = 32, 6.0
TOKEN = "vox_token-of-a-benchmark"
_NAME = "bench"
# So that clients of one process do not share a connection.
_OWN = (("grpc.use_local_subchannel_pool", 1),)


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
        each_request = query_codec.each_request(_NAME, together, wish)
        heavy_request = query_codec.find_request(_NAME, heavy, wish)
        stub = server.stubs[0]
        kinds: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "64": (lambda: stub.FindEach(each_request), lambda: here.find_each(together, wish)),
            "heavy": (lambda: stub.FindSimilar(heavy_request), lambda: here.find(heavy, wish)),
        }
        found: dict[str, float] = {}
        for name, (there, local) in kinds.items():
            costs = [
                (server.cpu_s(_times(there)), cpu_s(_times(local))) for _ in range(rounds + 1)
            ][1:]
            found[f"served_ratio_{name}"] = statistics.median(a / b for a, b in costs)
            found[f"in_process_ms_{name}"] = statistics.median(b for _, b in costs) / CALLS * 1e3
        requests = [query_codec.find_request(_NAME, Query(like=(v,)), wish) for v in vectors]
        return found | _load(server, requests)


def _times(work: Callable[[], object]) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(CALLS):
            work()

    return repeat


def _heavy(here: ServedAtlas, vectors: np.ndarray) -> Query:
    """A query by as many examples as it takes to cost so many milliseconds."""
    for count in 2 ** np.arange(int(np.log2(len(vectors))) + 1):
        query = Query(like=tuple(vectors[:count]), mode="best")
        find = functools.partial(here.find, query, Wish())
        if min(cpu_s(find) for _ in range(10)) * 1e3 >= HEAVY_MS:
            break
    return query


def _load(server: "_Server", requests: list[Any]) -> dict[str, float]:
    """How long calls take at half of the rate that the server can answer."""
    began, calls = time.perf_counter(), 0
    with futures.ThreadPoolExecutor(CLIENTS) as pool:
        ends = began + LOAD_S / 2
        shares = [
            pool.submit(_until, ends, stub, requests[n::CLIENTS])
            for n, stub in enumerate(server.stubs)
        ]
        calls = sum(share.result() for share in shares)
        rate = calls / (time.perf_counter() - began)
        pause_s = CLIENTS / (rate / 2)
        shares = [
            pool.submit(_paced, n, stub, requests[n::CLIENTS], pause_s)
            for n, stub in enumerate(server.stubs)
        ]
        taken = np.concatenate([share.result() for share in shares])
    p50, p99 = map(float, np.percentile(taken, (50, 99)))
    return {"calls_per_s": rate, "p50_ms": p50 * 1e3, "p99_over_p50": p99 / p50}


def _until(ends: float, stub: Any, requests: list[Any]) -> int:
    calls = 0
    while time.perf_counter() < ends:
        stub.FindSimilar(requests[calls % len(requests)])
        calls += 1
    return calls


def _paced(seed: int, stub: Any, requests: list[Any], pause_s: float) -> np.ndarray:
    """Seconds from when each call was due, at random times, to its answer."""
    rng, taken = np.random.default_rng(seed), []
    due = time.perf_counter()
    ends = due + LOAD_S
    while (due := due + rng.exponential(pause_s)) < ends:
        time.sleep(max(0.0, due - time.perf_counter()))
        stub.FindSimilar(requests[len(taken) % len(requests)])
        taken.append(time.perf_counter() - due)
    return np.array(taken)


class _Server:
    """A server in a process of its own, and what asks it."""

    def __init__(self, process: subprocess.Popen[str], stubs: list[Any]) -> None:
        self._process, self.stubs = process, stubs

    def cpu_s(self, work: Callable[[], object]) -> float:
        """CPU seconds of its process while some work is done."""
        before = self._cpu_s()
        work()
        return self._cpu_s() - before

    def _cpu_s(self) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(_line(self._process))


@contextlib.contextmanager
def _server(atlas: Path) -> Iterator[_Server]:
    """A server with clients, which ends with the block; on as many threads as it takes itself."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        words = [sys.executable, "-m", "tests.benchmarks.served_search", str(atlas), folder]
        process = stack.enter_context(
            subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
        )
        at = parse_address(_line(process))
        access = Access(TOKEN, ca=Path(folder) / "authority.pem")
        channels = [access.open_channel(at, _OWN) for _ in range(CLIENTS)]
        stubs = [search_pb2_grpc.SearchServiceStub(stack.enter_context(c)) for c in channels]
        yield _Server(process, stubs)
        assert process.stdin is not None
        process.stdin.close()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the server ended")
    return line.strip()


def main() -> None:
    """Serves until its input ends."""
    atlas, folder = map(Path, sys.argv[1:])
    issued = Authority(folder).issue()
    grant = Grant(_NAME, frozenset({"read"}), digest_of(TOKEN), Limits(1e6, 64.0, 64))
    (folder / "tokens").write_text(line_of(grant))
    settings = Settings(TlsFiles(issued.certificate, issued.key), folder / "tokens")
    opened = {_NAME: ServedAtlas.open(atlas)}
    with start_server(opened, "127.0.0.1:0", "127.0.0.1:0", settings) as server:
        print(server.grpc_address, flush=True)
        for _ in sys.stdin:
            print(time.process_time(), flush=True)


if __name__ == "__main__":
    main()
