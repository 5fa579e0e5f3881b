"""How much a token may ask for: calls per second, seconds of work per second, calls at once.

Kept in memory: a server that starts again starts with full buckets.
"""

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Hashable, Sequence

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

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate, self._most = rate, most
        self._level, self._then = most, now

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until it holds so much, which is at most what it can hold; 0 where it does."""
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
        self._calls = None if rate is None else Bucket(rate, max(rate, 1.0), clock())
        self._work = None if work is None else Bucket(work, _SAVED_S * work, clock())

    def spending(self) -> "Spending":
        """Begins a call, which ends with the block that is entered at once.

        Raises:
            QuotaError: a limit is reached; no call was begun, and nothing is taken.
        """
        now = self._clock()
        with self._lock:
            self._require(now)
            self._running += 1
            if self._calls:
                self._calls.take(1.0)
        return Spending(self, now)

    def end(self, begun: float) -> None:
        """Ends a call that began at a time of the clock, and takes its duration as work."""
        with self._lock:
            self._running -= 1
            if self._work:
                self._work.take(self._clock() - begun)

    def _require(self, now: float) -> None:
        limits, who = self._limits, f"token {self._name!r}"
        if limits.at_once is not None and self._running >= limits.at_once:
            raise QuotaError(
                f"{who} may have {limits.at_once} calls at once, which are still running; try "
                f"again in {_AT_ONCE_RETRY_S:g} s",
                _AT_ONCE_RETRY_S,
            )
        # Time passes in floats: what is full to a billionth is full.
        if self._calls and (wait := self._calls.wait_s(1.0, now)) > 1e-9:
            raise QuotaError(
                f"{who} may make {limits.calls:g} calls per second; try again in {wait:.2g} s", wait
            )
        if self._work and (wait := self._work.wait_s(0.0, now)) > 1e-9:
            raise QuotaError(
                f"{who} may use {limits.work:g} seconds of work per second, and has used more; try "
                f"again in {wait:.2g} s",
                wait,
            )


class Spending:
    """A call that was begun. Not a generator: those cost every call some microseconds."""

    __slots__ = ("_allowance", "_begun")

    def __init__(self, allowance: Allowance, begun: float) -> None:
        self._allowance, self._begun = allowance, begun

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._allowance.end(self._begun)


class Allowances:
    """The allowance of each token, from its first call on. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, Allowance] = {}

    def of(self, name: str, limits: Limits) -> Allowance:
        """The allowance of a token; a new one where its limits were changed."""
        key = (name, limits)
        found = self._kept.get(key)
        if found is not None:
            return found
        with self._lock:
            return self._kept.setdefault(key, Allowance(name, limits))
