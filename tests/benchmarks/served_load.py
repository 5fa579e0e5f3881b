"""How long calls of `voxkin serve` take at half of the rate that it can answer, of many clients.

The clients are threads of a few processes: those of one process wait for each other, since they
share an interpreter, and that would be told as time of the server.
"""

import contextlib
import dataclasses
import itertools
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np

from serve.access import Access
from serve.address import Address
from serve.pb.voxkin.v1 import search_pb2, search_pb2_grpc
from serve.queries import Query, Wish
from serve.wire import query_codec
from tests.benchmarks.served_calls import CLIENTS, OWN

PROCESSES, LOAD_S = 4, 6.0


@dataclasses.dataclass(frozen=True)
class Asked:
    """What clients ask.

    Attributes:
        at: address of the server.
        access: to it.
        atlas: its name.
        vectors: to search for.
    """

    at: Address
    access: Access
    atlas: str
    vectors: np.ndarray


def load(asked: Asked, rounds: int) -> list[dict[str, float]]:
    """Calls per second of clients that never rest, and how long calls take at half of that rate."""
    with contextlib.ExitStack() as stack:
        context = multiprocessing.get_context("spawn")
        groups = [
            stack.enter_context(ProcessPoolExecutor(1, context, _connect, (asked, number)))
            for number in range(PROCESSES)
        ]
        for group in groups:
            group.submit(_until, 0.1).result()
        return [_round(groups) for _ in range(rounds)]


def _round(groups: list[ProcessPoolExecutor]) -> dict[str, float]:
    began = time.perf_counter()
    counts = [group.submit(_until, LOAD_S / 2) for group in groups]
    rate = sum(count.result() for count in counts) / (time.perf_counter() - began)
    shares = [group.submit(_paced, CLIENTS / (rate / 2)) for group in groups]
    p50, p99 = np.percentile(np.concatenate([s.result() for s in shares]), (50, 99)).tolist()
    return {"calls_per_s": rate, "p50_ms": p50 * 1e3, "p99_over_p50": p99 / p50}


@dataclasses.dataclass(frozen=True)
class _Client:
    """One client, with a connection of its own."""

    number: int
    ask: Callable[[search_pb2.FindSimilarRequest], object]
    requests: list[search_pb2.FindSimilarRequest]

    def calls_until(self, ends: float) -> int:
        """Asks without a rest; how often."""
        for calls in itertools.count():
            if time.perf_counter() > ends:
                break
            self.ask(self.requests[calls % len(self.requests)])
        return calls

    def seconds_of_calls(self, pause_s: float, ends: float) -> list[float]:
        """Asks at random times; seconds from when each call was due to its answer."""
        rng, taken = np.random.default_rng(self.number), []
        due = time.perf_counter()
        while (due := due + rng.exponential(pause_s)) < ends:
            time.sleep(max(0.0, due - time.perf_counter()))
            self.ask(self.requests[len(taken) % len(self.requests)])
            taken.append(time.perf_counter() - due)
        return taken


_clients: list[_Client] = []
"""Those of this process."""


def _connect(asked: Asked, group: int) -> None:
    for number in range(group, CLIENTS, PROCESSES):
        channel = asked.access.open_channel(asked.at, OWN).__enter__()  # open until this ends
        requests = [
            query_codec.find_request(asked.atlas, Query(like=(vector,)), Wish())
            for vector in asked.vectors[number::CLIENTS]
        ]
        stub = search_pb2_grpc.SearchServiceStub(channel)
        _clients.append(_Client(number, stub.FindSimilar, requests))


def _until(seconds: float) -> int:
    ends = time.perf_counter() + seconds
    with ThreadPoolExecutor(len(_clients)) as pool:
        return sum(pool.map(lambda client: client.calls_until(ends), _clients))


def _paced(pause_s: float) -> list[float]:
    ends = time.perf_counter() + LOAD_S
    with ThreadPoolExecutor(len(_clients)) as pool:
        shares = pool.map(lambda client: client.seconds_of_calls(pause_s, ends), _clients)
        return list(itertools.chain.from_iterable(shares))
