"""Several GPUs, of one machine or of many: the network of `gpu`, and a step shared out among them.

    srun --ntasks 2 --gpus-per-task 4 \\
        voxkin train gpus --volume em.ome.zarr --out runs/em --join auto

Each step has 128 pairs of blocks, 16 to each of 8 devices; their number has to divide
`--sampling.crops`. All 16,384 places are compared with each other, wherever they were embedded.
Neither memory nor time nor scores have been measured on several GPUs.
"""

import dataclasses

from embed.config import load_preset

_ONE = load_preset("gpu")

config = dataclasses.replace(_ONE, sampling=dataclasses.replace(_ONE.sampling, crops=128))
