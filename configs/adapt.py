"""Adapts an encoder to a volume, without labels.

    voxkin train adapt --init pretrained --volume em.ome.zarr --out runs/em

With --init the name of this preset may be left out. The shape of the encoder is that of the one it
starts from. 2,000 steps at a third of the learning rate: about a quarter of an hour on two cores.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("em.ome.zarr"),),
    sampling=SamplingConfig(crops=8, places=(4, 4, 4), shift_nm=120.0, zoom=1.1),
    train=TrainConfig(steps=2000, learning_rate=3e-4, temperature=0.1),
)
