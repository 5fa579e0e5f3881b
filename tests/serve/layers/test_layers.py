"""Tests of serve/layers/layers.py and chunks.py: what an atlas offers."""

import numpy as np
import pytest

from embed.errors import NotFoundError
from embed.volume import open_volume
from serve.clusters.clusters import Clusters
from serve.layers.chunks import Chunks
from serve.layers.layers import Layers
from serve.queries import Query
from tests.served import INSIDE


@pytest.fixture
def layers(atlas):
    return Layers(atlas, None, Clusters(atlas))


def test_given_places_have_their_volume_and_no_maps(given):
    layers = Layers(given, None, Clusters(given))

    assert [shown.id for shown in layers.listed()] == ["volume"]


def test_a_segmentation_is_offered_where_there_is_one(atlas):
    segments = open_volume(atlas.path.with_name("small-volume.zarr"))

    shown = Layers(atlas, segments, Clusters(atlas)).found("segmentation")

    assert (shown.group, shown.layer.kind, shown.shader) == ("segmentation", "segmentation", "")


def test_an_index_that_is_taken_up_keeps_what_people_look_at(atlas, layers):
    token, shown = layers.compare(Query(like_nm_xyz=(INSIDE,)))
    renewed = Layers(atlas, None, Clusters(atlas))

    with pytest.raises(NotFoundError, match="ask for it again"):
        renewed.found(shown.id)
    renewed.similar.adopt(layers.similar)

    assert renewed.found(shown.id).id == f"similarity.{token}"


def test_what_was_sent_lately_is_not_made_again_while_it_fits():
    made = []

    def make(key):
        made.append(key)
        return bytes(4)

    chunks = Chunks(most_bytes=8)
    for key in "abacab":
        assert chunks.get(key, lambda key=key: make(key)) == bytes(4)

    assert made == ["a", "b", "c", "b"]


def test_a_chunk_that_is_larger_than_the_room_is_not_kept():
    chunks = Chunks(most_bytes=3)
    made = [chunks.get("a", lambda: np.random.default_rng().bytes(4)) for _ in range(2)]

    assert made[0] != made[1]
