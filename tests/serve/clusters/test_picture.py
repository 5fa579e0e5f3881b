"""Tests of serve/clusters/picture.py that need no picture."""

import re
from pathlib import Path

import serve
from serve.clusters.picture import COLOURS


def test_a_cluster_has_the_same_colour_in_the_picture_and_in_the_page():
    script = (Path(serve.__file__).parent / "page" / "points.js").read_text()

    (listed,) = re.findall(r"const COLOURS = \[(.*?)\]", script)

    assert re.findall(r"#[0-9a-f]{6}", listed) == [*COLOURS]
