"""Puts new versions of served atlases in service while calls are answered.

`voxkin index` writes a version beside those before it and then names it in `index/current.json`.
The new version is opened beside the old one, its bytes checked, and takes its place for the calls
that begin from then on; those that run keep the one that they began with. A version that cannot be
opened is passed over: the old one, which is in memory, goes on answering.
"""

import dataclasses
import logging
import threading
from collections.abc import Callable

from embed.errors import VoxkinError
from serve.catalogue import Catalogue
from serve.manifest import index_root
from serve.metrics import Metrics
from serve.served import ServedAtlas

log = logging.getLogger(__name__)

Stamp = tuple[int, ...]
"""Tells versions of an index apart without reading them; empty where there is none."""


@dataclasses.dataclass(frozen=True)
class Looked:
    """What a look at one atlas came to.

    Attributes:
        outcome: unchanged, swapped, kept (the new version is damaged) or gone (its directory).
        version: of the index that serves now.
        reason: why the old one was kept; empty otherwise.
    """

    outcome: str
    version: str
    reason: str = ""


class Watcher:
    """Looks after the atlases of a catalogue, in a thread of its own and when asked to."""

    def __init__(
        self,
        atlases: Catalogue,
        metrics: Metrics,
        tell_health: Callable[[str, bool], None],
        period_s: float,
    ) -> None:
        """Takes what is served now as the present version.

        Args:
            tell_health: called with the name of an atlas and whether it is there, after each look.
            period_s: seconds between two looks.
        """
        self._atlases, self._metrics, self._tell_health = atlases, metrics, tell_health
        self._period_s = period_s
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._stamps: dict[str, Stamp] = {}
        self._thread = threading.Thread(target=self._watch, name="reload", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no more; a look that has begun is not waited for long, as it changes nothing."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def look(self, again: bool = False) -> dict[str, Looked]:
        """Looks at every atlas now, and puts what is new and sound in service.

        Args:
            again: also try what was found damaged before; it may have been mended in place.
        """
        with self._looking:
            if again:
                self._stamps.clear()
            return {name: self._look_at(name) for name in self._atlases}

    def _watch(self) -> None:
        while not self._ended.wait(self._period_s):
            self.look()

    def _look_at(self, name: str) -> Looked:
        try:
            looked = self._renew(name, self._atlases[name])
        except Exception:
            # Whatever is wrong with a new version, the old one must go on.
            log.exception("could not look for a new version of atlas %r", name)
            looked = Looked("kept", "", "internal error; the server's log says more")
        if looked.outcome in ("swapped", "kept"):
            self._metrics.swaps.labels(name, looked.outcome).inc()
        self._tell_health(name, looked.outcome != "gone")
        return looked

    def _renew(self, name: str, served: ServedAtlas) -> Looked:
        serving = served.index.manifest.version
        if not served.atlas.path.is_dir():
            return Looked("gone", serving)
        stamp = _stamp(served)
        if self._stamps.get(name) == stamp:
            return Looked("unchanged", serving)
        # Before opening: what is written meanwhile is seen at the next look.
        self._stamps[name] = stamp
        try:
            if served.is_current():
                return Looked("unchanged", serving)
            renewed = served.reopened()
        except (VoxkinError, OSError, RuntimeError) as error:
            log.error("atlas %r: index %s goes on serving: %s", name, serving, error)
            # Paths are for the log: they are no business of a caller.
            return Looked("kept", serving, "the new version is damaged or incomplete")
        self._atlases.replace(name, renewed)
        version = renewed.index.manifest.version
        log.info("atlas %r: index %s took the place of %s", name, version, serving)
        return Looked("swapped", version)


def _stamp(served: ServedAtlas) -> Stamp:
    try:
        found = (index_root(served.atlas) / "current.json").stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
