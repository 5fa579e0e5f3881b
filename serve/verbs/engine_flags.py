"""The flags that say where the pieces of a long job run, for the verbs that have such jobs."""

import dataclasses

from embed.engines.engine import Engine
from embed.engines.ray import Ray
from embed.engines.workers import Workers
from embed.errors import ConfigError
from serve.verbs.arguments import Count, Name, Whole, Word

_ENGINES = ("process", "workers", "ray")


@dataclasses.dataclass(frozen=True)
class EngineFlags:
    """Where it runs.

    Attributes:
        engine: process (here), workers (several processes here) or ray.
        workers: how many, with --engine workers; one per core if not given.
        threads: cores of each task, with --engine ray.
        address: HOST:PORT of a Ray cluster, or auto; a Ray of its own if not given.
    """

    engine: Name = "process"
    workers: Whole = None
    threads: Count = 1
    address: Word = None

    def chosen(self) -> Engine | None:
        """The engine; None for this process.

        Raises:
            ConfigError: flags do not go together.
            MissingExtraError: Ray is not installed.
        """
        if self.engine not in _ENGINES:
            raise ConfigError(f"--engine is one of {', '.join(_ENGINES)}; got {self.engine!r}")
        if self.workers is not None and self.engine != "workers":
            raise ConfigError("--workers goes with --engine workers")
        if self.address is not None and self.engine != "ray":
            raise ConfigError("--address goes with --engine ray")
        if self.engine == "workers":
            return Workers(self.workers)
        return Ray(self.address, self.threads) if self.engine == "ray" else None
