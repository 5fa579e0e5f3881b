"""What runs of training leave behind, and whether two left the same."""

import json

import jax
import numpy as np

from embed.training.learner import init_state
from embed.training.resume import TrainingStates

TIMES = {"steps_per_s", "places_per_s", "starved", "report_s", "elapsed_s"}


def lines_of(run, name="metrics.jsonl"):
    """The lines of a journal, without how fast they came."""
    lines = [json.loads(line) for line in (run / name).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines]


def latest(run):
    with TrainingStates(run) as states:
        return states.latest


def state_of(config, run, step):
    with TrainingStates(run) as states:
        return [np.asarray(x) for x in jax.tree.leaves(states.restore(step, init_state(config)))]


def assert_same(config, run, other):
    """Both runs ended with the same encoder, training state and figures, bit for bit."""
    assert (run / "encoder.npz").read_bytes() == (other / "encoder.npz").read_bytes()
    pairs = zip(state_of(config, run, 12), state_of(config, other, 12), strict=True)
    assert all(a.tobytes() == b.tobytes() for a, b in pairs)
    for name in ("metrics.jsonl", "scores.jsonl"):
        assert lines_of(run, name) == lines_of(other, name)
    sheets = [{f.name: f.read_bytes() for f in (r / "sheets").iterdir()} for r in (run, other)]
    assert sheets[0].keys() == sheets[1].keys()
    assert all(sheets[0][name][:8] == b"\x89PNG\r\n\x1a\n" for name in sheets[0])
