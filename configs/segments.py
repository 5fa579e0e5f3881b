"""Trains an encoder on along the segments of a volume: what lies in one neuron becomes alike.

    voxkin train segments --init pretrained --volume em.zarr --segmentation ids.zarr --out runs/em

With --init and --segmentation the name of this preset may be left out. The shape of the encoder is
that of the one it starts from. 600 steps take five minutes on two cores; what they gave is in
docs/training.md. Each block holds one place, since a mask suits one field of view alone. The
embeddings have neither a constant nor tones beside them, which probes of few labels gain by, and
similarity, by which neurons are told apart, does not.
"""

from embed.config import RunConfig, TrainConfig, VolumeConfig
from embed.training.sampling import SamplingConfig

config = RunConfig(
    volumes=(VolumeConfig("em.zarr", segmentation="ids.zarr"),),
    sampling=SamplingConfig(crops=48, places=(1, 1, 1), zoom=1.1),
    train=TrainConfig(
        steps=600,
        learning_rate=5e-4,
        temperature=0.1,
        ignore_cells=1,
        filters=1.0,
        read_tones=0.0,
        keep_length=0.0,
    ),
)
