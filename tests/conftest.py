"""Strict JAX that compiles fast, who runs what, and the shared data beside the checkout."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Before jax is imported anywhere: compiled programs are kept between runs (five times faster).
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
# Most of what a test of training takes is to compile; without optimisation less than half of it,
# and half of that by emitters that later releases no longer have: a flag that is unknown is fatal.
FAST_TO_COMPILE = "--xla_backend_optimization_level=0"
if version("jaxlib").startswith("0.10."):
    FAST_TO_COMPILE += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", FAST_TO_COMPILE)

import pytest  # noqa: E402  the environment above must come first

SHARED = Path(os.environ.get("VOXKIN_SHARED", ROOT.parent / "shared"))


ON_RAY = ("tests/distributed/", "tests/embed/engines/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with what starts Ray, then the files with slow tests: last, they would run alone.

    Ray sometimes does not start in a process where Ray Serve has been: its threads go on there.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def turn(item: pytest.Item) -> tuple[bool, bool, bool]:
        on_ray = item.nodeid.startswith(ON_RAY)
        return not on_ray, item.path.name == "test_fleet.py", item.path not in slow

    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Has one process run a whole file, whose fixtures are costly, and one all that starts Ray.

    Two Rays that start at once on two cores take longer than Ray waits for itself.
    """
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # by the number of tests, which says little

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "ray" if nodeid.startswith(ON_RAY) else super()._split_scope(nodeid)

    return ByFile(config, log)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data and fixtures; skips by name where it is not."""
    if not SHARED.is_dir():
        pytest.skip(f"shared data not found at {SHARED} (set VOXKIN_SHARED)")
    return SHARED
