"""The encoder that `pretrained` means for isotropic voxels of about 10 nm.

    voxkin train pretrained_isotropic --out runs/first
    voxkin train pretrained_isotropic --init runs/first --sampling.seed 1 --train.steps 5000 \\
        --out runs/isotropic

Trained on FIB-25 (fly medulla, FIB-SEM) and on SNEMI (mouse cortex, ATUM-SEM, resampled), which lie
in the folder `volumes` of the directory it is started in. It sees 330 nm and steps 80 nm. Of
fib25_b only z < 120 is used, so that P-FIB can test on the rest.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(
        VolumeConfig("volumes/fib25_a.zarr"),
        VolumeConfig("volumes/fib25_b.zarr", box=((0, 250), (0, 250), (0, 120))),
        VolumeConfig("volumes/snemi.zarr", resample=True),
    ),
    sampling=SamplingConfig(crops=8, places=(4, 4, 4), shift_nm=120.0, zoom=1.2),
    train=TrainConfig(steps=8000, temperature=0.1, save_every=500),
)
