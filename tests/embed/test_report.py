"""Tests of embed/report.py: the curves of a run."""

import json

import pytest
from PIL import Image

from embed.errors import NotFoundError
from embed.report import write_report


def test_the_curves_become_a_picture(tmp_path):
    names = ("loss", "accuracy", "alignment", "uniformity")
    lines = [{"step": s, **dict.fromkeys(names, 1 / s)} for s in (1, 10, 20)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    path = write_report(tmp_path)

    assert path == tmp_path / "report.png"
    with Image.open(path) as picture:
        assert min(picture.size) > 500
        assert len(set(picture.convert("L").tobytes())) > 10


def test_a_run_without_metrics_has_no_curves(tmp_path):
    with pytest.raises(NotFoundError, match="no metrics"):
        write_report(tmp_path)
