"""Tests of serve/verbs/serve_arguments.py, and of the masks that `voxkin serve` is started with."""

import numpy as np
import pytest

from embed.errors import ConfigError, MismatchError
from serve.client import Client
from serve.queries import Filters, Query, Wish
from serve.verbs.serve import start
from serve.verbs.serve_arguments import RunFlags, parse_masks
from tests.labelled import write_volume

ANY = "127.0.0.1:0"


@pytest.mark.parametrize("words", [["a"], ["=b"], ["a="], ["a b=c"], ["a=b", "a=c"], ["../a=b"]])
def test_a_mask_that_is_not_named_once_is_refused(words):
    with pytest.raises(ConfigError, match="NAME=VOLUME, each name once"):
        parse_masks(words)


def test_masks_are_named_and_may_be_any_volume():
    words = ["a=b.zarr", "n-1=s3://bucket/x=y.zarr|zarr3:"]

    assert parse_masks(words) == {"a": "b.zarr", "n-1": "s3://bucket/x=y.zarr|zarr3:"}


def test_callers_are_limited_by_the_name_of_a_mask_and_not_by_its_place(atlas, index, tmp_path):
    mask = np.zeros((30, 20, 20), np.uint8)
    mask[:, :10] = 1
    write_volume(tmp_path / "low.zarr", mask, (30.0, 30.0, 30.0))

    masks = (f"low={tmp_path / 'low.zarr'}",)
    with start((atlas.path,), ANY, ANY, masks=masks) as server, Client(server.grpc_address) as c:
        wish = Wish(50, 0, Filters(masks=frozenset({"low"})))
        found = c.find(Query(like=(np.ones(16),)), wish)
        told = c.describe().masks

    assert told == ("low",)
    assert len(found.hits) == 50
    assert all(hit.position_nm_xyz[1] < 300 for hit in found.hits)


def test_a_mask_of_another_place_is_refused(atlas, index, tmp_path):
    write_volume(tmp_path / "m.zarr", np.ones((2, 2, 2), np.float32), (30.0, 30.0, 30.0))

    with pytest.raises(MismatchError, match="holds float32"):
        start((atlas.path,), ANY, ANY, masks=(f"m={tmp_path / 'm.zarr'}",))


def test_fewer_than_no_searches_are_not_checked():
    with pytest.raises(ConfigError, match="--recheck takes 0 or more"):
        RunFlags(recheck=-1).require_sense()
