"""Isotropic volumes of about 10 nm: FIB-SEM, or ssTEM and MICrONS-like ones at a coarser level.

    voxkin train fibsem --volume em.ome.zarr --out runs/em

The network of the demonstration, trained ten times as long: 3,000 steps, about 20 minutes on two
quiet cores (0.8 CPU s a step). It sees 330 nm and steps 80 nm.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("sample"),),
    sampling=SamplingConfig(crops=8, places=(4, 4, 4), shift_nm=120.0),
    train=TrainConfig(steps=3000),
)
