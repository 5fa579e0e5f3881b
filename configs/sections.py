"""Volumes of thick sections, about 45 x 4.6 x 4.6 nm (ZYX): ssTEM, ATUM-SEM.

    voxkin train sections --volume em.ome.zarr --out runs/em

Kernels and strides are flat: the encoder sees 3 sections of 300 x 300 nm and steps one section or
37 nm. The symmetries are the 16 that such a grid has. For other voxel sizes of this kind change
`--encoder.voxel-size-nm`, for example 30 6 6. 3,000 steps, some 25 minutes on two cores.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.training.augment import AugmentConfig
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("em.ome.zarr"),),
    encoder=EncoderConfig(
        voxel_size_nm=(45.0, 4.6, 4.6),
        stages=(
            Stage(32, (1, 5, 5), (1, 4, 4)),
            Stage(128, (3, 4, 4), (1, 2, 2), blocks=1),
            Stage(192, (1, 7, 7), blocks=1),
        ),
    ),
    sampling=SamplingConfig(crops=8, places=(3, 5, 5), shift_nm=100.0),
    augment=AugmentConfig(section_jitter=0.2),
    train=TrainConfig(
        steps=3000,
        temperature=0.1,
        filter_scales=(2.0, 4.0, 8.0, 16.0),
        read_filters=1.5,
        tones=(2.0, 4.0, 8.0, 16.0),
    ),
)
