"""How many threads a process computes with, where several share a machine."""

import os

THREADS = "VOXKIN_THREADS"
"""The environment variable that limits them; what has a limit of its own is set to `threads()`."""

_OBEYED = (
    THREADS,
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NPROC",  # XLA sizes the thread pool of its CPU client by this one
)


def threads() -> int:
    """One per core that this process may use, or fewer where `THREADS` says so."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    said = os.environ.get(THREADS, "")
    return min(cores, int(said)) if said.isdigit() and int(said) > 0 else cores


def limit_threads(count: int) -> None:
    """Limits this process; to be called before numpy and jax are imported, which read it once."""
    for name in _OBEYED:
        os.environ[name] = str(count)
