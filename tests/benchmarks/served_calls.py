"""Server CPU of an empty call: ours with a token, and bare gRPC beside it, with TLS and without.

    python -m tests.benchmarks.served_calls [--rounds N] [--calls N]

Each server runs in a process of its own and tells its CPU seconds; the clients are threads here,
each with a connection of its own and one call at a time. The empty call lists the atlases of a
server that has none; its token has limits. Servers take turns within a round, so that what else the
machine does falls on all. Microseconds of server CPU per call, the least of the rounds; the last
line is one JSON object.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path

import grpc

from serve.access import Access
from serve.address import parse_address
from serve.gate.credentials import TlsFiles
from serve.gate.quota import Limits
from serve.gate.tokens import Grant, digest_of, line_of
from serve.pb.voxkin.v1 import atlas_pb2, atlas_pb2_grpc
from serve.server import Settings, settle, start_server
from tests.certificates import Authority

CLIENTS = 32
TOKEN = "vox_token-of-a-benchmark"
# So that clients of one process do not share a connection.
OWN = (("grpc.use_local_subchannel_pool", 1),)


def empty_call_us(rounds: int = 12, calls: int = 640, clients: int = CLIENTS) -> float:
    """Server CPU µs of an empty authenticated call over TLS.

    Args:
        rounds: of which the least counts: what else the machine does only adds to it.
        calls: in a round, of all clients together.
        clients: that call at the same time.
    """
    return calls_us(rounds, calls, clients, ("ours tls",))["ours tls"]


def calls_us(
    rounds: int = 12,
    calls: int = 640,
    clients: int = CLIENTS,
    kinds: Sequence[str] = ("bare clear", "ours clear", "bare tls", "ours tls"),
) -> dict[str, float]:
    """Server CPU µs of an empty call at each kind of server; see `empty_call_us`."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = Authority(folder)
        authority.issue()
        grant = Grant("bench", frozenset({"read"}), digest_of(TOKEN), Limits(1e6, 64.0, 64))
        (folder / "tokens").write_text(line_of(grant))
        servers = [stack.enter_context(_Server.of(kind, folder, clients)) for kind in kinds]
        for server in servers:
            server.work(calls)
        for _ in range(rounds):
            for kind, server in zip(kinds, servers, strict=True):
                before = server.cpu_s()
                server.work(calls)
                found[kind].append((server.cpu_s() - before) / calls * 1e6)
    return {kind: round(min(us), 1) for kind, us in found.items()}


class _Server:
    """A server in a process of its own, and the clients that ask it."""

    def __init__(self, process: subprocess.Popen[str], asks: list[Callable[[], object]]) -> None:
        self._process, self._asks = process, asks

    @classmethod
    @contextlib.contextmanager
    def of(cls, kind: str, folder: Path, clients: int) -> Iterator["_Server"]:
        """A server of a kind, which ends with the block."""
        words = [sys.executable, "-m", "tests.benchmarks.served_calls", "--serve", kind]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with (
            subprocess.Popen([*words, "--folder", str(folder)], **pipes) as process,
            contextlib.ExitStack() as stack,
        ):
            at = parse_address(_line(process))
            ca = folder / "authority.pem" if kind.endswith("tls") else None
            access = Access(TOKEN, ca=ca)
            channels = [access.open_channel(at, OWN) for _ in range(clients)]
            asks = []
            for channel in channels:
                stub = atlas_pb2_grpc.AtlasServiceStub(stack.enter_context(channel))
                asks.append(lambda ask=stub.List: ask(atlas_pb2.ListAtlasesRequest(), timeout=60))
            yield cls(process, asks)
            process.stdin.close()

    def work(self, calls: int) -> None:
        """So many calls, by all clients at once."""
        with futures.ThreadPoolExecutor(len(self._asks)) as pool:
            shares = [pool.submit(_repeat, ask, calls // len(self._asks)) for ask in self._asks]
            for share in shares:
                share.result()

    def cpu_s(self) -> float:
        """CPU seconds of its process so far."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(_line(self._process))


def _repeat(ask: Callable[[], object], times: int) -> None:
    for _ in range(times):
        ask()


def _line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the server ended")
    return line.strip()


def _serve(kind: str, folder: Path) -> None:
    """A server until stdin ends; each line there is answered by its CPU seconds."""
    tls = TlsFiles(folder / "server.pem", folder / "server.key") if kind.endswith("tls") else None
    with contextlib.ExitStack() as stack:
        if kind.startswith("ours"):
            settings = Settings(tls, folder / "tokens")
            server = stack.enter_context(start_server({}, "127.0.0.1:0", "127.0.0.1:0", settings))
            settle()
            address = server.grpc_address
        else:
            address = _bare(stack, tls)
        print(address, flush=True)
        for _ in sys.stdin:
            print(time.process_time(), flush=True)


def _bare(stack: contextlib.ExitStack, tls: TlsFiles | None) -> str:
    """gRPC as it comes, with a method that does nothing."""
    server = grpc.server(futures.ThreadPoolExecutor(16))
    handler = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: atlas_pb2.ListAtlasesResponse(),
        atlas_pb2.ListAtlasesRequest.FromString,
        atlas_pb2.ListAtlasesResponse.SerializeToString,
    )
    methods = {"List": handler}
    server.add_registered_method_handlers("voxkin.v1.AtlasService", methods)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("voxkin.v1.AtlasService", methods),)
    )
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = ((tls.key.read_bytes(), tls.certificate.read_bytes()),)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
    server.start()
    stack.callback(lambda: server.stop(0).wait())
    return f"127.0.0.1:{port}"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--calls", type=int, default=640)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        _serve(asked.serve, asked.folder)
        return
    figures = {}
    for clients in (CLIENTS, 1):
        for kind, us in calls_us(asked.rounds, asked.calls, clients).items():
            figures[f"{kind}, {clients} clients"] = us
            print(f"{us:8.1f} us  {kind}, {clients} clients", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
