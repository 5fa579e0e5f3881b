"""Runs items on a Ray cluster, or on a Ray of its own on this machine.

On CPUs an item is a task, which Ray itself tries again. Where the cluster has GPUs each of them has
one actor, which compiles once; a task would begin in a fresh process each time, since Ray ends the
process of a task that held a GPU.
"""

import contextlib
import functools
import itertools
import logging
import os
import pickle
import secrets
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

from embed.engines.engine import RETRIES, Failure, Item, Result, attempt, given_up, unstarted
from embed.engines.lanes import run_in_lanes
from embed.errors import ConfigError, MissingExtraError, UnavailableError
from embed.threads import limit_threads

# Ray asks for at least 75 MiB; only places, paths and marks go through it.
_OBJECT_STORE_BYTES = 100 * 2**20
_PATIENCE_S = 5.0
_SAY_AGAIN_S = 0.5


class Ray:
    """Ray Core. A process that is connected already stays with the cluster that it has."""

    def __init__(self, address: str | None = None, threads: int = 1):
        """
        Args:
            address: host:port of the head of a cluster that this machine is part of, or `auto` for
                the one that runs here; a Ray of its own on this machine if not given.
            threads: cores that an item takes where there are no GPUs.

        Raises:
            MissingExtraError: Ray is not installed.
            ConfigError: the address is not one, or `threads` is not positive.
        """
        if threads < 1:
            raise ConfigError(f"threads are counted from 1; got {threads}")
        self.address = address
        self.threads = threads
        self._head = _host_and_port(address)
        self._ray = _import_ray()

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result | Failure]]:
        """As `Engine.run`.

        Raises:
            UnavailableError: the cluster cannot be joined.
        """
        with self.connected():
            gpus = int(self._ray.cluster_resources().get("GPU", 0))
            if gpus:
                open_lane = functools.partial(_Device, self._ray)
                yield from run_in_lanes(open_lane, gpus, function, items)
            else:
                yield from self._run_tasks(function, iter(items))

    def cores(self) -> float:
        """Cores of the cluster that this process is connected to, busy ones counted in."""
        return float(self._ray.cluster_resources().get("CPU", 0))

    def _run_tasks(
        self, function: Callable[[Item], Result], items: Iterator[Item]
    ) -> Iterator[tuple[Item, Result | Failure]]:
        ray = self._ray
        task = ray.remote(_attempt).options(num_cpus=self.threads, max_retries=RETRIES)
        running: dict[Any, Item] = {}
        try:
            while self._fill(running, task, function, items):
                for done in ray.wait(list(running))[0]:
                    item = running.pop(done)
                    try:
                        yield item, ray.get(done)
                    except ray.exceptions.RayTaskError as error:
                        # Not the function's, which `attempt` catches: ours, before it.
                        raise unstarted(error) from None
                    except ray.exceptions.RayError as error:
                        yield item, given_up(error)
        finally:
            self._cancel(list(running))

    def _cancel(self, unfinished: list[Any]) -> None:
        """Ends tasks, again and again: one that a worker is just being given may miss it."""
        until = time.monotonic() + _PATIENCE_S
        while unfinished and time.monotonic() < until:
            for task in unfinished:
                self._ray.cancel(task, force=True)
            _, unfinished = self._ray.wait(
                unfinished, num_returns=len(unfinished), timeout=_SAY_AGAIN_S
            )

    def _fill(
        self,
        running: dict[Any, Item],
        task: Any,
        function: Callable[[Item], Result],
        items: Iterator[Item],
    ) -> bool:
        """Submits more while there is room, and says whether anything runs."""
        # One waits for each that runs, so that no core does; and clusters grow and shrink.
        slots = max(1, int(self._ray.cluster_resources().get("CPU", 0)) // self.threads)
        for item in itertools.islice(items, max(0, 2 * slots - len(running))):
            running[task.remote(self.threads, pickle.dumps((function, item)))] = item
        return bool(running)

    @contextlib.contextmanager
    def connected(self) -> Iterator[None]:
        """In this block the process is part of the cluster.

        Raises:
            UnavailableError: the cluster cannot be joined.
        """
        if self._ray.is_initialized():
            yield
            return
        # A worker that was killed for want of memory is otherwise tried again for ever.
        os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Ray tells of every death on stdout, where a report may be wanted that a program can read.
        self._ray._private.worker.print_to_stdstream = _log
        try:
            if self.address is None:
                self._start()
            else:
                self._join(self.address)
            yield
        finally:
            self._ray.shutdown()

    def _start(self) -> None:
        # Only this process and its children may use it. Ray would write a token to the home folder.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        with warnings.catch_warnings():
            # JAX warns of every fork; this one starts another program at once.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            self._ray.init(
                "local",
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level="ERROR",
            )

    def _join(self, address: str) -> None:
        cannot = f"cannot join the Ray cluster at {address}"
        try:
            if self._head:  # Ray itself would try for minutes
                socket.create_connection(self._head, _PATIENCE_S).close()
            self._ray.init(address, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, self._ray.exceptions.RayError) as error:
            first = str(error).strip().partition("\n")[0]
            raise UnavailableError(f"{cannot}: {first}") from error


class _Device:
    """An actor that holds one GPU."""

    def __init__(self, ray: Any):
        self._ray = ray
        self.death = ray.exceptions.RayError
        self._actor = ray.remote(_Actor).options(num_gpus=1, num_cpus=1).remote()
        self.ready: Future[Any] = self._actor.__ray_ready__.remote().future()

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Any]:
        future: Future[Any] = self._actor.attempt.remote(pickle.dumps((function, item))).future()
        return future

    def close(self) -> None:
        self._ray.kill(self._actor)


class _Actor:
    def attempt(self, work: bytes) -> Any:
        return attempt(_do, work)


def _attempt(share: int, work: bytes) -> Any:
    limit_threads(share)
    return attempt(_do, work)


def _do(work: bytes) -> Any:
    """Unpickles here, not before: what that imports reads the limits, and may be missing."""
    function, item = pickle.loads(work)
    return function(item)


def _log(told: dict[str, Any], **_: Any) -> None:
    for line in told["lines"]:
        logging.getLogger(__name__).info(line)


def _host_and_port(address: str | None) -> tuple[str, int] | None:
    if address is None or address == "auto":
        return None
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "//" in host:
        raise ConfigError(
            f"the address of a Ray cluster is host:port, as in 10.0.0.7:6379, or auto; got "
            f"{address!r}"
        )
    return host.strip("[]"), int(port)


def _import_ray() -> Any:
    # Where something else answers at the address, one try of Ray takes 40 seconds; 20 are its rule.
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError(
            "running on Ray needs Ray; install it with: pip install 'voxkin[ray]'"
        ) from error
    return ray
