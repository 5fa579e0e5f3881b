"""One GPU, isotropic volumes of about 10 nm: a deeper network, thousands of places in each step.

    voxkin train gpu --volume em.ome.zarr --out runs/em

Sees 450 nm and steps 80 nm: 3.6 million parameters, 42 MFLOP a location. A step compares 13,824
places of 64 blocks of 85^3 voxels, in bfloat16. By arithmetic the activations of the 32 blocks
that are embedded at once take 2 GB and each table of similarities 0.8. Neither memory nor time nor
scores have been measured on a GPU.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("em.ome.zarr"),),
    encoder=EncoderConfig(
        stages=(
            Stage(64, (5, 5, 5), (2, 2, 2)),
            Stage(64, (3, 3, 3)),
            Stage(128, (3, 3, 3), (2, 2, 2)),
            Stage(128, (3, 3, 3), blocks=1),
            Stage(256, (3, 3, 3), (2, 2, 2)),
            Stage(256, (3, 3, 3), blocks=1),
        ),
        read=(3, 5),
    ),
    sampling=SamplingConfig(crops=32, places=(6, 6, 6), shift_nm=120.0, zoom=1.2),
    train=TrainConfig(
        steps=20_000, temperature=0.1, projection=(256, 64), at_once=32, compute="bfloat16"
    ),
)
