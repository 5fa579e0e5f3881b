"""The smallest run that exercises everything; for tests and for trying a volume in a minute.

    voxkin train smoke --volume em.ome.zarr --out smoke-run

Half a minute on two cores, most of it compiling. Expect a falling loss and nothing more.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.encoder import EncoderConfig, Stage
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("sample"),),
    encoder=EncoderConfig(
        stages=(
            Stage(16, (5, 5, 5), (4, 4, 4)),
            Stage(16, (3, 3, 3)),
            Stage(32, (2, 2, 2), (2, 2, 2), blocks=1),
        ),
        read=(2,),
        embedding_dim=16,
    ),
    sampling=SamplingConfig(crops=4, places=(3, 3, 3), shift_nm=40.0),
    train=TrainConfig(steps=40, save_every=20, projection=(32, 16)),
)
