"""Real Ray clusters on this machine, for tests; skips by name where Ray is not installed."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

_OBJECT_STORE_BYTES = 100 * 2**20
_TRIES = 4
# A node that is gone is missed after three seconds, instead of half a minute.
_HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 3,
}


@contextlib.contextmanager
def joined_cluster(**resources: int) -> Iterator[Any]:
    """A cluster of one node that this process has joined.

    Args:
        resources: num_cpus and num_gpus of the node; GPUs are what they are said to be.
    """
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'voxkin[ray]'")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray announces that zero GPUs will be hidden from workers differently one day.
        warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
        import ray

        cluster = Cluster()
        try:
            _add_head(cluster, **resources)
            ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def _add_head(cluster: Any, **resources: int) -> None:
    """Again where Ray tires of waiting for a process of its own that does not come up."""
    for tries_left in range(_TRIES - 1, -1, -1):
        try:
            add_node(cluster, _system_config=_HEALTH, **resources)
            return
        except Exception as error:
            if not tries_left or "timed out" not in str(error).lower():
                raise
            cluster.shutdown()


def add_node(cluster: Any, **options: Any) -> Any:
    """Adds a node with a small object store and no dashboard."""
    return cluster.add_node(
        object_store_memory=_OBJECT_STORE_BYTES, include_dashboard=False, **options
    )
