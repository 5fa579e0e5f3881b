"""The hosts that train together: how they join, and what the first of them decides for all.

Every host computes its share of each step (`embed.training.devices`). Only the first one writes, so
the others need no sight of the run; where it decides or fails, all do as it does.
"""

import re
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Array, PyTree

from embed.errors import ConfigError, UnavailableError

_PART = re.compile(r"(?P<own>\d+)/(?P<count>\d+)@(?P<address>\S+:\d+)")
# Told instead of a whole number where the first host has failed.
_FAILED = -(2**31)


def join(part: str) -> None:
    """Joins the hosts of a cluster; before anything is computed.

    Args:
        part: `auto` under Slurm or Open MPI and on TPU pods, which JAX asks; anywhere else
            `I/N@HOST:PORT`: this is host I, from 0, of N, and host 0 listens on HOST:PORT.

    Raises:
        ConfigError: it is neither, or there is no cluster that JAX knows.
        UnavailableError: the others did not come.
    """
    match = _PART.fullmatch(part)
    if part != "auto" and not match:
        raise ConfigError(
            f"hosts join by auto or by I/N@HOST:PORT, as in 0/2@node1:7701; got {part!r}"
        )
    own, count, address = match.group("own", "count", "address") if match else (0, 1, None)
    if match and not int(own) < int(count):
        raise ConfigError(f"of {count} hosts each is one of 0 to {int(count) - 1}; got {own}")
    try:
        if match:
            jax.distributed.initialize(address, int(count), int(own))
        else:
            jax.distributed.initialize()
    except ValueError as error:  # JAX knows no cluster here
        raise ConfigError(
            f"JAX finds no cluster here ({error}); say which host this is: I/N@HOST:PORT"
        ) from None
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise UnavailableError(f"the hosts of {part} did not come together: {reason}") from None


def leads() -> bool:
    """Whether this is the first host, or the only one."""
    return jax.process_index() == 0


def led(work: Callable[[], int]) -> int:
    """What the first host makes of some work, on all hosts; the others do none of it.

    Raises:
        UnavailableError: on the others, where the work raised something on the first.
    """
    if jax.process_count() == 1:
        return work()
    failure: Exception | None = None
    found = _FAILED
    if leads():
        try:
            found = work()
        except Exception as error:  # whatever it is, the others must not wait for ever
            failure = error
    found = int(multihost_utils.broadcast_one_to_all(np.int32(found)))
    if failure is not None:
        raise failure
    if found == _FAILED:
        raise UnavailableError("the first host has stopped; it says why")
    return found


def any_of(flag: bool) -> bool:
    """Whether it is so on any host; all have to ask."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def shared(tree: PyTree[Array]) -> PyTree[Array]:
    """The values of the first host, on all hosts."""
    if jax.process_count() == 1:
        return tree
    found: PyTree[Array] = multihost_utils.broadcast_one_to_all(tree)
    return found


def here(tree: PyTree[Array]) -> PyTree[Array]:
    """Values that are the same everywhere, as this host holds them: others need not compute too."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda leaf: np.asarray(leaf.addressable_data(0)), tree)
