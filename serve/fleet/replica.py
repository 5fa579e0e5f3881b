"""What one process of a fleet does: it holds one slab and answers what it is asked."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from serve.fleet.open_slab import OpenSlab
from serve.fleet.slabs import Bits, Found, Slab


class Replica:
    """A slab that Ray Serve holds in a process of its own, as often as it is told to."""

    def __init__(self, slab: Slab, directory: str, removed: Int[np.ndarray, " n"]) -> None:
        """See `OpenSlab`."""
        _keep_shut()
        self._slab = OpenSlab(slab, Path(directory), removed)

    def search(
        self, vectors: Float32[np.ndarray, "n dim"], k: int, nprobe: int, allowed: Bits | None
    ) -> Found:
        """See `OpenSlab.search`."""
        return self._slab.search(vectors, k, nprobe, allowed)


def _keep_shut() -> None:
    """Keeps Ray Serve from opening the port of this replica that handles do not use.

    Ray 2.60 listens there on all interfaces, and unpickles what anybody sends: whoever reaches the
    machine could run any program on it. Only TLS between all parts of Ray closes it otherwise.

    Raises:
        RuntimeError: this Ray opens it in a way that is not known here.
    """
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return
    from ray.serve._private import replica

    if not hasattr(replica, "add_port_to_grpc_server"):
        raise RuntimeError("this version of Ray Serve opens a port that cannot be kept shut")
    replica.add_port_to_grpc_server = _opens_none


def _opens_none(server: Any, address: str) -> int:
    return 0
