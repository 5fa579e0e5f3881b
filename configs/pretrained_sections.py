"""The encoder that `pretrained` means for thick sections, about 40 x 5 x 5 nm (ZYX).

    voxkin train pretrained_sections --train.compute bfloat16 --out runs/sections    # on a GPU
    voxkin train pretrained_sections --train.at-once 16 --out runs/sections          # on a CPU

Trained on SNEMI (mouse cortex, ATUM-SEM) and on FIB-25 (fly medulla, FIB-SEM, four of its voxels
averaged to a section), which lie in the folder `volumes` of the directory it is started in. It sees
3 sections of 325 x 325 nm and steps one section or 40 nm.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(
        VolumeConfig("volumes/snemi.zarr", resample=True),
        VolumeConfig("volumes/fib25_a.zarr", resample=True),
        VolumeConfig("volumes/snemi.zarr", resample=True),
        VolumeConfig("volumes/fib25_b.zarr", box=((0, 250), (0, 250), (0, 120)), resample=True),
    ),
    encoder=EncoderConfig(
        voxel_size_nm=(40.0, 5.0, 5.0),
        stages=(
            Stage(32, (1, 5, 5), (1, 4, 4)),
            Stage(128, (3, 4, 4), (1, 2, 2), blocks=1),
            Stage(192, (1, 7, 7), blocks=1),
        ),
    ),
    sampling=SamplingConfig(crops=16, places=(3, 5, 5), shift_nm=100.0, zoom=1.25),
    train=TrainConfig(
        steps=9000,
        temperature=0.1,
        filter_scales=(2.0, 4.0, 8.0, 16.0),
        read_filters=1.5,
        tones=(2.0, 4.0, 8.0, 16.0),
        save_every=500,
    ),
)
