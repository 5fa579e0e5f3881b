"""Has an encoder that was trained before it could read tones read them.

    python -m tests.benchmarks.reread PRESET ENCODER OUT

Does to a finished encoder what the end of a training does now (`embed.training.readout`), with
blocks of the preset that it was trained by, whose volumes lie where the preset says. So were the
encoders made that come with voxkin. OUT is the file of the new encoder.
"""

import argparse
import dataclasses
from pathlib import Path

from embed.checkpoint import load_encoder, save_encoder
from embed.config import load_preset
from embed.training.readout import Tones, with_angles
from embed.training.sampling import PairSampler
from embed.training.volumes import open_training_volumes

STEPS = 20


def main() -> None:
    """Reads an encoder and writes another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("encoder", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    config, encoder = load_preset(asked.preset), load_encoder(asked.encoder)
    sampler = PairSampler(open_training_volumes(config), config.encoder, config.sampling)
    views = [sampler.batch(step).seen for step in range(STEPS)]
    tones = Tones(config.train.tones, config.train.read_tones)
    shape, params = with_angles(encoder.params, encoder.config, views, tones, 0.0)
    save_encoder(dataclasses.replace(encoder, config=shape, params=params), asked.out)


if __name__ == "__main__":
    main()
