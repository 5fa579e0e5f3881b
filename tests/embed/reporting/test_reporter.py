"""Tests of embed/reporting/reporter.py and page.py, on runs with labels and with bad names."""

import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import tensorstore as ts

from embed.config import VolumeConfig
from embed.errors import MismatchError
from embed.reporting.config import ReportConfig
from embed.reporting.figures import main_figures, read_figures
from embed.reporting.journal import Journal
from embed.train import fit
from embed.training.volumes import open_training_volumes


class Page(HTMLParser):
    """What a page refers to, and which of its elements are open."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.open, self.tags = [], [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset", "action", "data")]
        if tag not in ("meta", "img", "path", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("path", "circle", "polyline"):
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def hostile(config, tissue, tmp_path_factory):
    """A run on two volumes, one of which has labels, and a name and a licence that are markup."""
    folder = tmp_path_factory.mktemp("hostile")
    named = write(folder / "<script>alert(1)<!-- & '.zarr", tissue, license='"><img src=x>')
    other = write(folder / "other.zarr", tissue[:, ::-1])
    y = np.arange(tissue.shape[1])[None, :, None] // 8 % 2
    labels = write(folder / "labels.zarr", np.broadcast_to(y, tissue.shape).astype(np.uint8))
    two = dataclasses.replace(config, volumes=(VolumeConfig(str(named)), VolumeConfig(str(other))))
    run = folder / "run <b>"
    fit(two, open_training_volumes(two), run, report=ReportConfig(labels=str(labels)))
    return run


def write(path, voxels, **attributes):
    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "metadata": {
            "shape": list(voxels.shape),
            "data_type": voxels.dtype.name,
            "dimension_names": ["z", "y", "x"],
            "attributes": {"dimension_units": ["10 nm"] * 3, **attributes},
        },
    }
    ts.open(spec, create=True).result().write(voxels).result()
    return path


def test_the_page_is_well_formed_and_asks_for_nothing_from_outside(hostile):
    text = (hostile / "report.html").read_text()

    page = Page(text)

    assert not page.open
    assert page.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.addresses)
    assert not re.search(r"https?:|url\(|@import|<link|<script", text)
    assert "prefers-color-scheme: dark" in text


def test_names_and_attributes_are_shown_as_they_are(hostile):
    text = (hostile / "report.html").read_text()

    assert "script" not in Page(text).tags
    assert "b" in Page(text).tags  # of the tiles alone
    assert "&lt;script&gt;alert(1)&lt;!-- &amp; &#x27;" in text
    assert "&quot;&gt;&lt;img src=x&gt;" in text
    assert "run &lt;b&gt;" in text


def test_every_saved_state_is_scored_on_volumes_and_labels(hostile):
    lines = Journal(hostile / "scores.jsonl").lines()

    assert [line["step"] for line in lines] == [4, 8, 12]
    expected = {"rank_me", "cosine", "spread", "spread_least", "domain_accuracy", "domain_chance"}
    expected |= {"knn_accuracy", "knn_chance", "probe_chance", "ap_5", "ap_25", "ap_100"}
    for line in lines:
        assert set(line) == {"step", "report_s", "elapsed_s"} | expected
        assert np.isfinite([*line.values()]).all()
        assert 0 < line["report_s"] <= line["elapsed_s"]
        assert line["domain_chance"] == line["knn_chance"] == 0.5


def test_the_main_figures_are_named_and_their_cost_known(hostile):
    figures = read_figures(hostile)

    named = main_figures(figures, 8)

    assert {"loss", "RankMe", "k-NN recall", "AP, 100 labels", "volume told apart"} < set(named)
    assert named["RankMe"].endswith(" of 8")
    assert 0 < figures.cost < 1


def test_labels_that_do_not_fit_are_refused_before_the_run_begins(
    config, volumes, tissue, tmp_path
):
    labels = write(tmp_path / "labels.zarr", tissue[1:])

    with pytest.raises(MismatchError, match="need the grid of the first training volume"):
        fit(config, volumes, tmp_path / "run", report=ReportConfig(labels=str(labels)))

    assert not (tmp_path / "run").exists()


def test_a_run_without_any_figures_learns_the_same(config, volumes, undisturbed, tmp_path):
    fit(config, volumes, tmp_path / "run", report=ReportConfig(places=0, tensorboard=False))

    assert {child.name for child in (tmp_path / "run").iterdir()} == {
        "config.json",
        "encoder.npz",
        "metrics.jsonl",
        "report.html",
        "states",
    }
    encoders = [(run / "encoder.npz").read_bytes() for run in (tmp_path / "run", undisturbed)]
    assert encoders[0] == encoders[1]


def test_a_report_without_sheets_or_event_files(config, volumes, undisturbed, tmp_path):
    report = ReportConfig(queries=0, tensorboard=False)

    fit(config, volumes, tmp_path / "run", report=report)

    assert not (tmp_path / "run" / "sheets").exists()
    assert not (tmp_path / "run" / "tensorboard").exists()
    times = ("report_s", "elapsed_s")
    one, other = (
        [{k: v for k, v in line.items() if k not in times} for line in map(json.loads, lines)]
        for lines in (
            (r / "scores.jsonl").read_text().splitlines() for r in (tmp_path / "run", undisturbed)
        )
    )
    assert one == other
