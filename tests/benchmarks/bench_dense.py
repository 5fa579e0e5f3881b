"""Dense inference against field of view by field of view, on one backend, CPU seconds.

    python -m tests.benchmarks.bench_dense

The same network on the same voxels of the sample: 4,096 locations at stride 8, once as one dense
block and once patch by patch. Interleaved, best of three; the last line is one JSON object.
"""

import json
import time

import jax
import jax.numpy as jnp
import numpy as np

from embed.checkpoint import random_encoder
from embed.encoder import EncoderConfig
from embed.normaliser import measure
from embed.samples import PATH
from embed.volume import open_volume

ROUNDS = 3
CELLS = (11, 16, 16)
PATCHES = 64


def main() -> None:
    """Prints the cost of a location both ways and how far the results are apart."""
    encoder = random_encoder(EncoderConfig())
    volume = open_volume(PATH)
    voxels = encoder.config.voxels(CELLS)
    grey = measure(volume)(volume.read(volume.box))[: voxels[0], : voxels[1], : voxels[2]]
    fields = np.lib.stride_tricks.sliding_window_view(grey, encoder.fov)[::8, ::8, ::8]
    patches = fields.reshape(-1, *encoder.fov)

    def dense() -> np.ndarray:
        return np.asarray(encoder.apply(jnp.asarray(grey[None])))[0].reshape(len(patches), -1)

    def by_patch() -> np.ndarray:
        parts = np.array_split(patches, len(patches) // PATCHES)
        return np.concatenate(
            [np.asarray(encoder.apply(jnp.asarray(p)))[:, 0, 0, 0] for p in parts]
        )

    results = {"dense": dense(), "patch": by_patch()}  # compiles, too
    best = dict.fromkeys(results, float("inf"))
    for _ in range(ROUNDS):
        for name, run in (("dense", dense), ("patch", by_patch)):
            began = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - began)
    cost = {name: 1e6 * seconds / len(patches) for name, seconds in best.items()}
    print(f"{len(patches)} locations, {jax.devices()[0].device_kind}")
    print(f"dense {cost['dense']:.0f} CPU µs a location, patch by patch {cost['patch']:.0f}")
    report = {
        "dense_us": round(cost["dense"], 1),
        "patch_us": round(cost["patch"], 1),
        "dense_vs_patch": round(cost["patch"] / cost["dense"], 1),
        "max_abs_diff": float(np.abs(results["dense"] - results["patch"]).max()),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
