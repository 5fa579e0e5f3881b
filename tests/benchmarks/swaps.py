"""Swaps the index of a served atlas many times while callers ask: no call fails, none is wrong.

    python -m tests.benchmarks.swaps [--swaps 100] [--callers 4]

Each sound version is another kind of index than the one before, both of which compare everything,
so that every answer can be checked; every fifth is damaged, and has to be passed over. Prints how
many calls were answered meanwhile; exits with 1 where one failed or was wrong.
"""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from concurrent import futures
from pathlib import Path

from serve.client import Client
from serve.index import build_index
from serve.manifest import index_root
from serve.served import ServedAtlas
from serve.server import Settings, start_server
from tests.served import INSIDE, make_served

ANY = "127.0.0.1:0"
FACTORIES = ("Flat", "IVF1,Flat")
LONG_S = 120
_DAMAGED_EVERY = 5


def swap_under_load(served: ServedAtlas, swaps: int, callers: int) -> tuple[int, list[str], int]:
    """Serves an atlas whose index is replaced again and again.

    Args:
        served: an atlas of which new versions may be built.
        swaps: how often.
        callers: who ask all the time, one call after the other.

    Returns:
        How many calls were answered, what went wrong, and how many versions were seen serving.
    """
    expected = served.find_at(INSIDE, 10, None).hits
    done, wrong, seen = threading.Event(), [], set()

    def ask(address: str) -> int:
        with Client(address, timeout_s=LONG_S) as client:
            for answers in itertools.count():
                if done.is_set():
                    return answers
                try:
                    if client.find_similar(position_nm_xyz=INSIDE, k=10).hits != expected:
                        wrong.append("a wrong answer")
                except Exception as error:
                    wrong.append(repr(error))
                time.sleep(0.002)
        return 0

    settings = Settings(look_every_s=0.01)
    with (
        start_server({served.name: served}, ANY, ANY, settings) as server,
        futures.ThreadPoolExecutor(callers) as pool,
        Client(server.grpc_address, timeout_s=LONG_S) as client,
    ):
        asking = [pool.submit(ask, server.grpc_address) for _ in range(callers)]
        for swap in range(swaps):
            damaged = swap % _DAMAGED_EVERY == _DAMAGED_EVERY - 1
            # Should a damaged one be taken up before it is damaged, the kind that serves stays.
            factory = FACTORIES[(len(seen) + (not damaged)) % 2]
            version = build_index(served.atlas, rebuild=True, factory=factory).version
            if damaged:
                file = index_root(served.atlas) / version / "index.faiss"
                file.write_bytes(file.read_bytes()[:-9])
            elif _comes(client, factory):
                seen.add(version)
        done.set()
        answered = sum(share.result() for share in asking)
    return answered, wrong, len(seen)


def _comes(client: Client, factory: str) -> bool:
    """Whether an index of a kind serves before long."""
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        if client.describe().index.factory == factory:
            return True
        time.sleep(0.005)
    return False


def main() -> None:
    """Swaps and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--callers", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        served = make_served(Path(folder) / "small")
        answered, wrong, seen = swap_under_load(served, asked.swaps, asked.callers)
    damaged = asked.swaps // _DAMAGED_EVERY
    print(f"{asked.swaps} swaps, {damaged} of damaged versions; {seen} sound ones came to serve")
    print(f"{answered:,} calls answered meanwhile, {len(wrong)} failed or wrong", *set(wrong))
    sys.exit(bool(wrong) or seen != asked.swaps - damaged)


if __name__ == "__main__":
    main()
