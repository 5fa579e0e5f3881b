"""Isotropic volumes of about 10 nm: FIB-SEM, or ssTEM and MICrONS-like ones at a coarser level.

    voxkin train fibsem --volume em.ome.zarr --out runs/em

The network of the demonstration, trained ten times as long: 3,000 steps, up to half an hour on two
cores. It sees 330 nm and steps 80 nm. Its score has not been measured.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("sample"),),
    sampling=SamplingConfig(crops=8, places=(4, 4, 4), shift_nm=120.0),
    train=TrainConfig(steps=3000, temperature=0.1),
)
