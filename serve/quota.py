"""How much a token may ask for: calls per second, seconds of work per second, calls at once.

Kept in memory: a server that starts again starts with full buckets.
"""

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence

from embed.errors import ConfigError, QuotaError

# Of unused work a token may save up so many seconds' worth, to spend at once.
_SAVED_S = 10.0
# Calls at once end when they end: come back soon, but not at once.
_AT_ONCE_RETRY_S = 1.0


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a token may use; None is as much as the server has.

    >>> str(Limits.parse(["calls=20", "work=0.5"]))
    'calls=20 work=0.5'

    Attributes:
        calls: per second; a second's worth may come at once.
        work: seconds that the server handles its calls, per second. It is known only afterwards,
            so a long call is let in and those after it wait until it has been made up for.
        at_once: calls that are handled at the same time.
    """

    calls: float | None = None
    work: float | None = None
    at_once: int | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name.replace('_', '-')} is a number above 0; got {value:g}")

    def __str__(self) -> str:
        values = dataclasses.asdict(self).items()
        return " ".join(f"{n.replace('_', '-')}={v:g}" for n, v in values if v is not None)

    @classmethod
    def parse(cls, words: Sequence[str]) -> "Limits":
        """Reads what `str` writes.

        Raises:
            ConfigError: it is anything else.
        """
        kinds: dict[str, Callable[[str], float]] = {"calls": float, "work": float, "at-once": int}
        values: dict[str, float] = {}
        for word in words:
            name, _, text = word.partition("=")
            try:
                if name in values:
                    raise KeyError
                values[name] = kinds[name](text)
            except (KeyError, ValueError):
                raise ConfigError(
                    "limits are calls=NUMBER, work=NUMBER and at-once=WHOLE_NUMBER, each once; got "
                    f"{word[:80]!r}"
                ) from None
        at_once = values.get("at-once")
        return cls(
            values.get("calls"), values.get("work"), None if at_once is None else int(at_once)
        )


class Bucket:
    """A token bucket: fills at a rate, holds so much, and may owe. Not safe from many threads."""

    def __init__(self, rate: float, most: float, clock: Callable[[], float]) -> None:
        self._rate, self._most, self._clock = rate, most, clock
        self._level, self._then = most, clock()

    def wait_s(self, amount: float) -> float:
        """Seconds until it holds so much, which is at most what it can hold; 0 where it does."""
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._then) * self._rate)
        self._then = now
        return max(0.0, (amount - self._level) / self._rate)

    def take(self, amount: float) -> None:
        """Takes so much, below 0 if need be."""
        self._level -= amount


class Allowance:
    """What one token has left. Safe to use from many threads."""

    def __init__(
        self, name: str, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._limits, self._clock = name, limits, clock
        self._lock = threading.Lock()
        self._running = 0
        rate, work = limits.calls, limits.work
        self._calls = None if rate is None else Bucket(rate, max(rate, 1.0), clock)
        self._work = None if work is None else Bucket(work, _SAVED_S * work, clock)

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Counts the block as one call and its duration as work.

        Raises:
            QuotaError: a limit is reached; the block is not begun, and nothing is taken.
        """
        with self._lock:
            self._require()
            self._running += 1
            if self._calls:
                self._calls.take(1.0)
        begun = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                if self._work:
                    self._work.take(self._clock() - begun)

    def _require(self) -> None:
        limits, who = self._limits, f"token {self._name!r}"
        if limits.at_once is not None and self._running >= limits.at_once:
            raise QuotaError(
                f"{who} may have {limits.at_once} calls at once, which are still running; try "
                f"again in {_AT_ONCE_RETRY_S:g} s",
                _AT_ONCE_RETRY_S,
            )
        # Time passes in floats: what is full to a billionth is full.
        if self._calls and (wait := self._calls.wait_s(1.0)) > 1e-9:
            raise QuotaError(
                f"{who} may make {limits.calls:g} calls per second; try again in {wait:.2g} s", wait
            )
        if self._work and (wait := self._work.wait_s(0.0)) > 1e-9:
            raise QuotaError(
                f"{who} may use {limits.work:g} seconds of work per second, and has used more; try "
                f"again in {wait:.2g} s",
                wait,
            )


class Allowances:
    """The allowance of each token, from its first call on. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, Allowance] = {}

    def of(self, name: str, limits: Limits) -> Allowance:
        """The allowance of a token; a new one where its limits were changed."""
        with self._lock:
            key = (name, limits)
            if key not in self._kept:
                self._kept[key] = Allowance(name, limits)
            return self._kept[key]
