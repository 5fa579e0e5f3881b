"""A program for the tests of backends: embeds blocks and saves what came of them.

    python -m tests.embed.backends.embedded BLOCKS OUT

Every block of the array `blocks` of BLOCKS is embedded by each backend as often as there are
devices, and once more. How many devices and threads there are is up to the environment.
"""

import sys
from pathlib import Path

import jax
import numpy as np

from embed.backends.choice import open_backend
from embed.checkpoint import load_encoder
from embed.pretrained import FOLDER


def main(source: Path, out: Path) -> None:
    """Embeds and saves."""
    encoder = load_encoder(FOLDER / "isotropic.npz")
    with np.load(source) as given:
        blocks = given["blocks"]
    found = {"devices": np.asarray(jax.device_count())}
    for kind in ("xla", "openvino"):
        backend = open_backend(encoder, kind, "float32")
        found[kind] = np.stack([backend(blocks) for _ in range(jax.device_count() + 1)])
    np.savez(out, **found)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
