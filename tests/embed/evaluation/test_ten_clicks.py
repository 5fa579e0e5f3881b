"""Tests of embed/evaluation/ten_clicks.py, on a small synthetic volume."""

import numpy as np
import pytest

from embed.checkpoint import random_encoder
from embed.encoder import EncoderConfig, Stage
from embed.evaluation.ten_clicks import ten_clicks
from tests.labelled import write_luc

TINY = EncoderConfig(
    voxel_size_nm=(10.0, 10.0, 10.0),
    stages=(Stage(4, (3, 3, 3), (2, 2, 2)), Stage(8, (3, 3, 3), (2, 2, 2))),
    read=(1,),
    embedding_dim=8,
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("luc")
    write_luc(folder)
    return ten_clicks(random_encoder(TINY, seed=3), folder, draws=2)


def test_bright_mitochondria_are_found_from_ten_clicks_by_both(found):
    assert min(found.control) > 0.8
    assert np.mean(found.probe) > found.chance  # the encoder has learnt nothing
    assert len(found.probe) == len(found.control) == 2


def test_the_whole_volume_is_mapped(found):
    assert found.places > 2 * 32 * 9
    assert 0.05 < found.chance < 0.5
