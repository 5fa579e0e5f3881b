"""A Ray cluster that holds the slabs of indices in memory, several times, and is asked from here.

Ray Serve starts the replicas of a slab, watches over them, replaces those that die and chooses
which of them is asked. Each version of an index is deployed beside the one before, under a name of
its own, and takes its place here once all of its slabs are there: so every call is answered by one
version, and none fails while they change.
"""

import contextlib
import dataclasses
import functools
import logging
import threading
import time
from types import TracebackType
from typing import Any

from embed.atlas import Atlas
from embed.engines.ray import Ray
from embed.errors import ConfigError, DataError, MissingExtraError, UnavailableError, VoxkinError
from embed.storage import digest
from serve.fleet.asking import Asking
from serve.fleet.replica import Replica
from serve.fleet.slabs import InSlabs, Slab
from serve.index import Index
from serve.locations import NONE
from serve.manifest import Manifest, current_manifest, serving_version
from serve.removal import load_removed

log = logging.getLogger(__name__)

# What a process takes besides its slab.
_PROCESS_BYTES = 300 * 2**20
_LOOK_EVERY_S = 0.5
_TRIES = 4
_ONE_AT_A_TIME = threading.Lock()


@dataclasses.dataclass(frozen=True)
class FleetSettings:
    """How slabs are held.

    Attributes:
        address: of a Ray cluster, see `embed.engines.ray.Ray`.
        replicas: of each slab.
        cores: of each replica; Ray places them by it, and a fraction is allowed.
        deadline_s: seconds that slabs have to answer.
        start_s: seconds that all replicas of a version have to start.
        retire_s: seconds that a version stays after another took its place, for the calls that
            began with it.
    """

    address: str | None = None
    replicas: int = 2
    cores: float = 1.0
    deadline_s: float = 2.0
    start_s: float = 600.0
    retire_s: float = 60.0

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise ConfigError(f"replicas are counted from 1; got {self.replicas}")
        for what, value in (("cores", self.cores), ("a deadline", self.deadline_s)):
            if not 0 < value < float("inf"):
                raise ConfigError(f"a replica has {what} above 0; got {value:g}")


class Fleet:
    """Holds the indices of atlases on a cluster. Use it in a `with` block."""

    def __init__(self, settings: FleetSettings) -> None:
        """Prepares to connect.

        Raises:
            MissingExtraError: Ray Serve is not installed.
            ConfigError: the address is none.
        """
        self._settings = settings
        self._ray = Ray(settings.address)
        self._serve = _import_serve()
        self._connection = self._ray.connected()
        self._timers: list[threading.Timer] = []

    def __enter__(self) -> "Fleet":
        """Connects.

        Raises:
            UnavailableError: the cluster cannot be joined.
        """
        self._connection.__enter__()
        logging.getLogger("ray.serve").setLevel(logging.ERROR)  # gaps are told in answers
        # Nobody is to reach replicas but through us: no proxy listens anywhere.
        self._serve.start(proxy_location="Disabled", logging_config={"log_level": "WARNING"})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnects. On a cluster what was deployed stays; a Ray of our own ends with it."""
        for timer in self._timers:
            timer.cancel()
        if self._settings.address is None:
            self._serve.shutdown()
        self._connection.__exit__(kind, error, trace)

    def open_index(self, atlas: Atlas) -> Index:
        """Opens the serving index of an atlas, on the cluster.

        It is deployed, or found deployed; other versions are retired after a while.

        Raises:
            NotFoundError: there is none.
            MismatchError: it was built from other embeddings.
            DataError: it is damaged, or not in slabs.
            ConfigError: the cluster has too few cores.
            UnavailableError: not all replicas come up in time.
        """
        manifest, path = current_manifest(atlas)
        if not manifest.slabs:
            raise DataError(
                f"the index of {atlas.name!r} is not in slabs, which a fleet holds; make it with: "
                f"voxkin index {atlas.path} --slabs N"
            )
        removed = load_removed(path.parent, manifest)
        self._require_cores(manifest)
        # One location stands for others: it must be found for their sake.
        never = removed if manifest.every == 1 else NONE
        targets = [
            self._serve.RunTarget(
                self._deployment(slab).bind(slab, str(path.parent.resolve()), never),
                name=name,
                route_prefix=None,
            )
            for slab, name in zip(manifest.slabs, application_names(atlas, manifest), strict=True)
        ]
        handles = self._deployed(targets)
        self._retire_others(atlas, manifest)
        asking = Asking(
            manifest.slabs, [handle.search for handle in handles], self._settings.deadline_s
        )
        # Replicas leave out by themselves what was removed; see `Index` for what it does by a grid.
        grid = atlas.grid if manifest.every > 1 else None
        return Index(InSlabs(manifest.slabs, asking), manifest, grid, removed)

    def _deployment(self, slab: Slab) -> Any:
        settings = self._settings
        memory = slab.bytes + _PROCESS_BYTES
        make = functools.partial(
            self._serve.deployment,
            Replica,
            name="slab",
            num_replicas=settings.replicas,
            ray_actor_options={"num_cpus": settings.cores, "memory": memory},
            max_ongoing_requests=16,
            health_check_period_s=1,
            graceful_shutdown_wait_loop_s=0.5,
            max_constructor_retry_count=2 * settings.replicas,
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        # Ray registers a module while it pickles a configuration and unregisters it then, in all
        # threads the same one: the second to end fails. Its own threads do so, too.
        with _ONE_AT_A_TIME:
            for _ in range(_TRIES):
                with contextlib.suppress(ValueError):
                    return make()
            return make()

    def _deployed(self, targets: list[Any]) -> list[Any]:
        """Handles of applications, once all their replicas are up.

        What another server has deployed, or this one before it was started again, is taken as it
        is: a version never changes, and to deploy it again would start its replicas anew.
        """
        names = [target.name for target in targets]
        there = self._serve.status().applications
        new = [t for t in targets if not self._is_held(there.get(t.name))]
        if new:
            self._serve.run_many(new, wait_for_applications_running=False)
        until = time.monotonic() + self._settings.start_s
        try:
            while True:
                known = self._serve.status().applications
                found = [known[name] for name in names if name in known]
                if len(found) == len(names) and all(app.status == "RUNNING" for app in found):
                    return [self._serve.get_app_handle(name) for name in names]
                _require_hope(found, late=time.monotonic() > until)
                time.sleep(_LOOK_EVERY_S)
        except VoxkinError:
            self._delete([target.name for target in new])
            raise

    def _is_held(self, app: Any) -> bool:
        """Whether an application has as many replicas as are wanted, or is about to."""
        if app is None or app.status not in ("RUNNING", "DEPLOYING"):
            return False
        replicas = sum(sum(d.replica_states.values()) for d in app.deployments.values())
        return replicas == self._settings.replicas

    def _require_cores(self, manifest: Manifest) -> None:
        settings, slabs = self._settings, len(manifest.slabs)
        needed = slabs * settings.replicas * settings.cores
        there = self._ray.cores()
        if needed > there:
            raise ConfigError(
                f"{slabs} slabs with {settings.replicas} replicas of {settings.cores:g} cores each "
                f"take {needed:g} cores, and the cluster has {there:g}: give each a fraction "
                "(--replica-cores), have fewer --replicas, or add machines"
            )

    def _retire_others(self, atlas: Atlas, manifest: Manifest) -> None:
        """Ends other versions of the atlas when the calls that began with them have ended."""
        timer = threading.Timer(self._settings.retire_s, self._end_others, (atlas, manifest))
        timer.daemon = True
        timer.start()
        self._timers = [*(old for old in self._timers if old.is_alive()), timer]

    def _end_others(self, atlas: Atlas, manifest: Manifest) -> None:
        # In a thread of its own, where nobody would see an error.
        try:
            self._delete_others(atlas, manifest)
        except Exception:
            log.exception("other versions of the index of %r stay on the cluster", atlas.name)

    def _delete_others(self, atlas: Atlas, manifest: Manifest) -> None:
        # Another one may serve by now, or that before again.
        stay = (_prefix(atlas, manifest), f"{_prefix(atlas)}{serving_version(atlas)}-")
        running = self._serve.status().applications
        self._delete(
            [n for n in running if n.startswith(_prefix(atlas)) and not n.startswith(stay)]
        )

    def _delete(self, names: list[str]) -> None:
        for name in names:
            self._serve.delete(name)


def _require_hope(found: list[Any], *, late: bool) -> None:
    """Checks that what is being deployed may still come up."""
    failed = [app for app in found if app.status == "DEPLOY_FAILED"]
    for app in failed or (found if late else []):
        said = " ".join(deployment.message for deployment in app.deployments.values())
        raise UnavailableError(
            f"a slab does not come up on the cluster: {' '.join((app.message or said).split())}"
        )


def application_names(atlas: Atlas, manifest: Manifest) -> list[str]:
    """What Ray Serve calls the slabs of a version, each of which has replicas of its own."""
    return [f"{_prefix(atlas, manifest)}{number}" for number in range(len(manifest.slabs))]


def _prefix(atlas: Atlas, manifest: Manifest | None = None) -> str:
    """What the names of an atlas, or of one version of its index, begin with.

    By its content too: an index that is made from nothing again begins at the same number.
    """
    prefix = f"{atlas.name}-{atlas.info.fingerprint[:12]}/"
    if manifest is None:
        return prefix
    made = digest(manifest.sha256.encode(), manifest.removed_sha256.encode())
    return f"{prefix}{manifest.version}-{made[:12]}/"


def _import_serve() -> Any:
    try:
        from ray import serve
    except ImportError as error:
        raise MissingExtraError(
            "a fleet needs Ray Serve; install it with: pip install 'voxkin[fleet]'"
        ) from error
    return serve
