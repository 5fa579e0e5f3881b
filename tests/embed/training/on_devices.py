"""A program for the tests of several devices: takes three steps and saves what came of them.

    python -m tests.embed.training.on_devices OUT [COORDINATOR PROCESSES ID]

The number of devices of a process is that of --xla_force_host_platform_device_count.
"""

import sys
from pathlib import Path

import jax
import numpy as np

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.training.devices import make_mesh, on_every_device, own_crops, spread
from embed.training.learner import init_state
from embed.training.sampling import Batch, SamplingConfig
from embed.training.step import make_train_step

CONFIG = RunConfig(
    volumes=(VolumeConfig("unused"),),
    encoder=EncoderConfig(
        stages=(Stage(6, (3, 3, 3), (2, 2, 2)), Stage(6, (2, 2, 2))),
        read=(0, 1),
        embedding_dim=6,
    ),
    sampling=SamplingConfig(crops=4, places=(2, 2, 2)),
    train=TrainConfig(steps=3, projection=(8,), warmup=0.0, filter_scales=(1.0,)),
)


def batch_of(step: int) -> Batch:
    """What every process would cut for a step: all crops."""
    rng = np.random.default_rng(step)
    voxels = CONFIG.encoder.voxels(CONFIG.sampling.places)
    views = rng.normal(size=(2, CONFIG.sampling.crops, *voxels)).astype(np.float32)
    return Batch(views, np.array([0, 1, 2, 1], np.int32))


def main(out: Path) -> None:
    """Trains, and lets the first process save its metrics and the moments."""
    mesh = make_mesh(CONFIG.sampling.crops)
    mine = own_crops(CONFIG.sampling.crops, mesh)
    state, step = on_every_device(init_state(CONFIG), mesh), make_train_step(CONFIG, mesh)
    saved = {"devices": np.asarray(jax.device_count())}
    for index in range(CONFIG.train.steps):
        batch = batch_of(index)
        batch = batch._replace(views=batch.views[:, mine.start : mine.stop])
        state, metrics = step(state, spread(batch, mesh))
        saved |= {f"{name}{index}": np.asarray(value) for name, value in metrics.items()}
    # The moments of the gradients, not the parameters: where a gradient is zero (that of the bias
    # of the head is, before standardisation), Adam makes a step of rounding errors.
    moments = enumerate(jax.tree.leaves(state.opt_state))
    saved |= {f"moment{i}": np.asarray(value) for i, value in moments}
    if jax.process_index() == 0:
        np.savez(out, **saved)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        address, count, own = sys.argv[2:]
        jax.distributed.initialize(address, int(count), int(own))
    main(Path(sys.argv[1]))
