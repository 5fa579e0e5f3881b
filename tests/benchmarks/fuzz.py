"""Hostile requests at a server: every method with random messages, and raw bytes at both ports.

    python -m tests.benchmarks.fuzz [--requests 200000] [--seed N]

The server is a process of its own with a small atlas. Told are the statuses it answered with, and
what must not be: bugs (INTERNAL, UNKNOWN, HTTP 500), answers that hold something of its inside,
calls without an answer within a minute, and its end; further how much its memory grew after the
first tenth. Of each bug the request is printed. Exits with 1 where there was any.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import grpc
import httpx
import numpy as np
from google.protobuf.message_factory import GetMessageClass

from embed.volume import open_volume
from serve.client import Client
from serve.labelling.classes import ClassSet, with_more
from serve.labelling.store import LabelStore
from serve.labels import LabelTable
from serve.mapping.apply import apply_probe
from serve.probes import train_atlas_probe
from serve.served import ServedAtlas
from serve.server import start_server
from serve.wire.codec import MAX_MESSAGE_BYTES
from tests.benchmarks.random_messages import STRINGS, RandomMessages
from tests.labelled import write_volume
from tests.serve.brute import write_segmentation
from tests.served import make_served

AT_ONCE = 4
HUNG_S = 60
# What nothing that is told may hold; what a caller wrote itself may be told again.
_BYTES = re.compile(r'"(?:[^"\\]|\\.)*\\(?:[^"\\]|\\.)*"')
_INSIDE = re.compile(r"Traceback|site-packages|\.py\b| at 0x[0-9a-f]{6}|/home/|/tmp/|/root/")
_TELL_PATHS = ("Apply", "Describe", "List")
_SHARES = (("message", 0.93), ("bytes", 0.99), ("raw", 0.995), ("http", 1.0))
_PATHS = (
    *("/", "/healthz", "/metrics", "/api/atlases", "/api/openapi.json", "/api/atlases/small"),
    *("/api/atlases/small/similar", "/api/atlases/small/thumb.png", "/api/atlases/small/slice.png"),
    *("/api/atlases/small/projection", "/api/reload", "/api/session", "/../../etc/passwd", "/%00"),
)
_QUERIES = ("x", "y", "z", "k", "plane", "size", "nm_per_pixel", "min_separation_nm", "nothing")


@dataclasses.dataclass
class Report:
    """What became of the requests.

    Attributes:
        codes: how often each status was answered, by method and kind of request.
        bugs: what is no mistake of a caller, with the request.
        leaks: answers that hold something of the server's inside.
        hung: requests without an answer.
    """

    codes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    bugs: list[str] = dataclasses.field(default_factory=list)
    leaks: list[str] = dataclasses.field(default_factory=list)
    hung: list[str] = dataclasses.field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.codes.total()

    @property
    def is_clean(self) -> bool:
        """Whether nothing happened that must not."""
        return not (self.bugs or self.leaks or self.hung)


def make_target(folder: Path) -> ServedAtlas:
    """A small atlas with all that can be asked of one: a segmentation, a mask, a probe, its map."""
    atlas = make_served(folder / "small").atlas
    places = np.array([(x, 260.0, z) for x in (132, 196, 452, 548) for z in (375, 675)])
    apply_probe(atlas, train_atlas_probe(atlas, LabelTable(places, tuple("aaaabbbb")), "p"))
    blobs = (np.indices((12, 7, 7)).sum(axis=0) % 3 > 0).astype(np.uint8)
    write_volume(folder / "mask.zarr", blobs, (70.0, 80.0, 80.0))
    LabelStore.open(atlas).put_set(ClassSet("s", with_more((), "ab")))
    masks = {"m": open_volume(folder / "mask.zarr")}
    return ServedAtlas.open(atlas.path, write_segmentation(folder / "segments.zarr"), masks)


class Attack:
    """Asks a server random things."""

    def __init__(self, grpc_address: str, http_address: str, seed: int) -> None:
        self.report = Report()
        self._addresses = grpc_address, http_address
        with Client(grpc_address) as client:
            told = client.describe()
        low, high = told.locations_nm
        self._messages = RandomMessages(seed, low, high, told.embedding_dim)
        options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
        self._channel = grpc.insecure_channel(grpc_address, options)
        self._http = httpx.Client(base_url=f"http://{http_address}", timeout=HUNG_S)
        self._lock = threading.Lock()

    def run(self, requests: int, done: Callable[[int], None] = lambda _: None) -> Report:
        """Asks so many, some at a time; calls `done` with how many were answered."""
        with self._channel, self._http, futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for begin in range(0, requests, 100):
                some = [self._drawn() for _ in range(min(100, requests - begin))]
                for answered in pool.map(lambda ask: ask(), some):
                    del answered
                done(begin + len(some))
        return self.report

    def _drawn(self) -> Callable[[], None]:
        """The next request; drawn in one thread, so that a seed always draws the same."""
        chance = self._messages.rng.random()
        kind = next(kind for kind, share in _SHARES if chance < share)
        if kind == "message":
            method, message = self._messages.request()
            return functools.partial(self._ask, method, message.SerializeToString(), kind)
        if kind == "bytes":
            return functools.partial(self._ask, *self._messages.broken(), kind)
        rng = self._messages.rng
        if kind == "raw":
            start = rng.choice((b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n"))
            junk = start + rng.randbytes(rng.choice((1, 50, 3000)))
            return functools.partial(self._send, rng.choice(self._addresses), junk)
        names = rng.sample(_QUERIES, rng.randrange(6))
        query = urllib.parse.urlencode(
            {n: rng.choice((*STRINGS, "1", "260", "nan")) for n in names}
        )
        url = f"{rng.choice(_PATHS)}?{query}"
        return functools.partial(self._get, rng.choice(("GET", "GET", "POST", "HEAD")), url)

    def _ask(self, method: object, content: bytes, kind: str) -> None:
        path = f"/{method.containing_service.full_name}/{method.name}"
        request = f"{path} {content[:2000].hex()}"
        streams = method.server_streaming
        make = self._channel.unary_stream if streams else self._channel.unary_unary
        call = make(path, response_deserializer=GetMessageClass(method.output_type).FromString)
        try:
            answer = call(content, timeout=HUNG_S)
            told = "".join(map(str, answer)) if streams else str(answer)
            # Where a volume was read from and a map was written to is told on purpose.
            code, details = "OK", "" if method.name in _TELL_PATHS else _BYTES.sub("", told)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or ""
        if code in ("INTERNAL", "UNKNOWN", "UNAVAILABLE"):
            self._note(self.report.bugs, f"{code} {details[:200]!r}: {request}")
        if code == "DEADLINE_EXCEEDED":
            self._note(self.report.hung, request)
        self._count(f"{kind} {method.name} {code}", details, request)

    def _send(self, address: str, junk: bytes) -> None:
        """Raw bytes to a port; whether it still answers is seen by what is asked later."""
        host, port = address.rsplit(":", 1)
        with contextlib.suppress(OSError):  # it may hang up whenever it likes
            with socket.create_connection((host, int(port)), timeout=5) as plug:
                plug.sendall(junk)
                plug.shutdown(socket.SHUT_WR)
                plug.recv(1000)
        self._count("raw", "", "")

    def _get(self, verb: str, url: str) -> None:
        try:
            answer = self._http.request(verb, url)
        except httpx.TimeoutException:
            self._note(self.report.hung, url)
            return
        if answer.status_code >= 500:
            self._note(self.report.bugs, f"HTTP {answer.status_code} {answer.text[:200]!r}: {url}")
        own = "json" in answer.headers.get("content-type", "") and answer.status_code >= 400
        self._count(f"http {answer.status_code}", answer.text if own else "", url)

    def _count(self, what: str, told: str, request: str) -> None:
        with self._lock:
            self.report.codes[what] += 1
        if found := _INSIDE.search(told):
            self._note(self.report.leaks, f"{found[0]!r} in {told[:300]!r}: {request[:300]}")

    def _note(self, where: list[str], text: str) -> None:
        with self._lock:
            where.append(text)


def main() -> None:
    """Attacks and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        _serve(asked.serve)
    else:
        sys.exit(_attack(asked.requests, asked.seed))


def _attack(requests: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder, _served(Path(folder)) as process:
        addresses = process.stdout.readline().split()
        begun, memory = time.monotonic(), {}

        def done(count: int) -> None:
            if process.poll() is not None:
                raise SystemExit(f"the server ended with {process.returncode} after {count}")
            memory[count] = _memory_mb(process.pid)
            if count % max(requests // 20, 100) == 0:
                took = time.monotonic() - begun
                print(f"{count:,} requests, {took:.0f} s, {memory[count]:.0f} MB", flush=True)

        report = Attack(*addresses, seed).run(requests, done)
        first = next(mb for count, mb in memory.items() if count >= requests / 10)
        alive = process.poll() is None
        process.stdin.close()
        errors = (Path(folder) / "errors").read_text()
    for what, count in sorted(report.codes.items()):
        print(f"{count:9,}  {what}")
    for name in ("bugs", "leaks", "hung"):
        found = getattr(report, name)
        print(f"{len(found)} {name}", *found[:20], sep="\n  ")
    print(f"{errors.count('Traceback')} tracebacks in the server's log", errors[-4000:])
    print(
        f"{report.requests:,} requests; memory grew by {max(memory.values()) - first:.0f} MB from "
        f"{first:.0f} MB after the first tenth; the server {'lives' if alive else 'ENDED'}"
    )
    return 0 if report.is_clean and alive and "Traceback" not in errors else 1


@contextlib.contextmanager
def _served(folder: Path):
    words = [sys.executable, "-m", "tests.benchmarks.fuzz", "--serve", str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        (folder / "errors").open("w") as errors,
        subprocess.Popen(words, **pipes, stderr=errors) as process,
    ):
        yield process


def _serve(folder: Path) -> None:
    """A server until stdin ends."""
    served = make_target(folder)
    with start_server({"small": served}, "127.0.0.1:0", "127.0.0.1:0") as server:
        print(server.grpc_address, server.http_address, flush=True)
        sys.stdin.read()


def _memory_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
