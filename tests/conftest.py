"""Strict JAX, a compile cache, and the shared data where they lie beside the checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Before jax is imported anywhere: compiled programs are kept between runs (five times faster).
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

import pytest  # noqa: E402  the environment above must come first

SHARED = Path(os.environ.get("VOXKIN_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data and fixtures; skips by name where it is not."""
    if not SHARED.is_dir():
        pytest.skip(f"shared data not found at {SHARED} (set VOXKIN_SHARED)")
    return SHARED
