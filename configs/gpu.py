"""One GPU, isotropic volumes of about 10 nm: many places in each step, in bfloat16.

    voxkin train gpu --volume em.ome.zarr --out runs/em

The network of `fibsem`: it sees 330 nm and steps 80 nm. A step compares 3,072 places of 48 blocks.
On an NVIDIA H200 that five other trainings shared, with 5 of 16 cores to cut blocks: 12.5 steps/s
and 0.4 GB of its memory; it waited for blocks half of the time, so more cores make it faster. What
4,400 steps of it on the volumes of `pretrained_isotropic` gave is in docs/training.md. A network of
3.6 million parameters that sees 450 nm did 1,288 steps beside it, and was no better.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("em.ome.zarr"),),
    sampling=SamplingConfig(crops=24, places=(4, 4, 4), shift_nm=120.0, zoom=1.2),
    train=TrainConfig(steps=5000, temperature=0.1, save_every=500, compute="bfloat16"),
)
