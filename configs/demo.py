"""The demonstration: a small encoder for FIB-SEM at 10 nm, from the sample that voxkin carries.

    voxkin train demo --out demo-run

One to three minutes on two cores; the encoder sees 330 nm and steps 80 nm. Expect a loss near 7, of
which 6.1 are the contrastive one: the right partner among 512 places in 3 of 100 cases, 17 times
chance.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("sample"),),
    sampling=SamplingConfig(crops=8, places=(4, 4, 4), shift_nm=120.0),
    train=TrainConfig(steps=300, temperature=0.1, save_every=100),
)
