"""Adapts an encoder to a volume, without labels.

    voxkin train adapt --init pretrained --volume em.ome.zarr --out runs/em
    voxkin train adapt --init pretrained --volume em.ome.zarr --out runs/em --train.steps 2000

With --init the name of this preset may be left out. The shape of the encoder is that of the one it
starts from. Without steps it is calibrated to the volume, in half a minute. On two volumes that the
pretrained encoders had not seen that gained nearly all there was to gain: training further gained
little on one and cost few-label probes much on the other (docs/training.md). 2,000 steps, for a
volume that is unlike what they saw, take a quarter of an hour on two cores, at a third of the
learning rate.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("em.ome.zarr"),),
    sampling=SamplingConfig(crops=8, places=(4, 4, 4), shift_nm=120.0, zoom=1.1),
    train=TrainConfig(steps=0, learning_rate=3e-4, temperature=0.1),
)
