"""Several GPUs, of one machine or of many: the network of `gpu`, and a step shared out among them.

    srun --ntasks 2 --gpus-per-task 4 \\
        voxkin train gpus --volume em.ome.zarr --out runs/em --join auto

Each step has 128 pairs of blocks, 16 to each of 8 devices; their number has to divide
`--sampling.crops`. All 16,384 places are compared with each other, wherever they were embedded.
Neither memory nor time nor scores have been measured on a GPU.
"""

import dataclasses

from embed.config import load_preset
from embed.training.sampling import SamplingConfig

_ONE = load_preset("gpu")

config = dataclasses.replace(
    _ONE,
    sampling=SamplingConfig(crops=128, places=(4, 4, 4), shift_nm=120.0, zoom=1.2),
    # Of each device all blocks at once: 32 of them, as on one GPU.
    train=dataclasses.replace(_ONE.train, at_once=None),
)
