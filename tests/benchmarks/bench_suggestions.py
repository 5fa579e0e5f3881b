"""How many labels suggestions save: probes taught by suggested and by random places.

    python -m tests.benchmarks.bench_suggestions [--data FOLDER] [--seeds N] [--rounds N] [--choose]

Both begin with two places of each class. Then twelve places at a time are labelled, as the full
labels of the volume say: what `serve.probing.suggestions` suggests, or places at random, which meet
classes as often as they are in the volume. P-LUC (mitochondria, average precision) is scored on its
test block, P-VNC (five classes, macro-F1) on its test sections; with `--choose` on what strategies
were chosen by, a part of the training block, and sections 14 and 15. Scores are means over seeds.
The last line is one JSON object: for numbers of random labels, the suggested ones from which on the
score is as high and stays so (in steps of twelve; null where it never does).
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from embed.checkpoint import load_encoder
from embed.evaluation import protocol_luc, protocol_vnc
from embed.evaluation.candidate import Candidate
from embed.evaluation.places import Places
from embed.evaluation.protocol import labels_of
from embed.evaluation.vnc_places import CLASSES, split_sections, unanimous
from embed.penalty import spatial_blocks
from embed.pretrained import FOLDER
from embed.probe import Origin, Probe
from embed.probing.training import Examples, train_probe
from serve.locations import Locations
from serve.probes import BLOCK
from serve.probing.suggestions import Pool, Wish, suggest

DATA = Path(os.environ.get("VOXKIN_SHARED", Path(__file__).parents[3] / "shared")) / "data"
FIRST = 2
"""Places of each class that both begin with."""
EACH_TIME = 12
POOL = 8192
RANDOM = "random"


@dataclasses.dataclass(frozen=True)
class Task:
    """Places to label, and places to score on.

    Attributes:
        pool: embeddings and positions of what may be labelled.
        truth: the class of each.
        test: embeddings to score on.
        test_truth: their classes.
    """

    pool: Pool
    truth: np.ndarray
    test: np.ndarray
    test_truth: np.ndarray

    def score(self, probe: Probe) -> float:
        """Average precision of the second of two classes, or macro-F1 of more."""
        from sklearn.metrics import average_precision_score, f1_score

        logits = probe.logits(self.test)
        if len(probe.classes) == 2:
            return float(average_precision_score(self.test_truth, logits[:, 1] - logits[:, 0]))
        return float(f1_score(self.test_truth, logits.argmax(axis=1), average="macro"))


def main() -> None:
    """Prints a table for each volume."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--kinds", nargs="+", default=["mixed", "uncertain"])
    asked = parser.parse_args()
    report = {}
    for name, prepare in (("P-LUC", mitochondria), ("P-VNC", five_classes)):
        task = prepare(asked.data, asked.choose)
        curves = {
            kind: np.array([curve(task, kind, asked.rounds, s) for s in range(asked.seeds)])
            for kind in (RANDOM, *asked.kinds)
        }
        report[name] = told(name, task, curves)
    print(json.dumps({"seeds": asked.seeds, "chosen_on": asked.choose, **report}))


def curve(task: Task, kind: str, rounds: int, seed: int) -> list[float]:
    """Scores after each round of labelling."""
    rng = np.random.default_rng(seed)
    classes = np.unique(task.truth)
    first = [rng.permutation(np.flatnonzero(task.truth == c))[:FIRST] for c in classes]
    rows, scores = np.concatenate(first), []
    locations = task.pool.locations
    for number in range(rounds + 1):
        probe = taught(task, rows)
        scores.append(task.score(probe))
        if kind == RANDOM:
            left = np.setdiff1d(locations.ids, rows)
            more = rng.permutation(left)[:EACH_TIME]
        else:
            labelled = Locations(locations.ids[rows], locations.vectors[rows])
            wish = Wish(EACH_TIME, kind)
            found = suggest(probe, task.pool, labelled, wish, seed=1000 * seed + number)
            more = np.array([place.id for place in found], np.int64)
        rows = np.concatenate([rows, more])
    return scores


def taught(task: Task, rows: np.ndarray) -> Probe:
    """A probe as `voxkin probe train` makes it of some places of the pool."""
    vectors = task.pool.locations.vectors
    parts = spatial_blocks(task.pool.positions_nm_xyz[rows], BLOCK * task.pool.apart_nm)
    labels = [f"{number}" for number in task.truth[rows]]
    examples = Examples.of_one_class_each(vectors[rows], labels, parts, rows)
    return train_probe(examples, Origin("p", "", ""), sample=vectors)


def told(name: str, task: Task, curves: dict[str, np.ndarray]) -> dict[str, object]:
    """Prints the scores, and says how many labels each kind needs for those of random ones."""
    classes = len(np.unique(task.truth))
    counts = FIRST * classes + EACH_TIME * np.arange(next(iter(curves.values())).shape[1])
    shares = np.bincount(task.truth) / len(task.truth)
    print(f"{name}: {len(task.truth)} places to choose from, of classes {np.round(shares, 3)}")
    print("labels      " + "".join(f"{count:>14}" for count in counts[::2]))
    for kind, scores in curves.items():
        cells = zip(scores.mean(axis=0)[::2], scores.std(axis=0)[::2], strict=True)
        print(f"{kind:12}" + "".join(f"  {mean:.3f} ± {sd:.3f}" for mean, sd in cells))
    needed = {}
    for kind, scores in curves.items():
        if kind != RANDOM:
            mean, goals = scores.mean(axis=0), curves[RANDOM].mean(axis=0)
            # Behind the last that is below.
            begins = [int(np.flatnonzero(np.append(True, mean < goal))[-1]) for goal in goals]
            needed[kind] = {
                int(n): int(counts[begin]) if begin < len(counts) else None
                for n, begin in zip(counts, begins, strict=True)
            }
            print(f"{kind}: labels for the score of random ones: {needed[kind]}")
    return {
        "labels": counts.tolist(),
        "scores": {kind: np.round(s.mean(axis=0), 4).tolist() for kind, s in curves.items()},
        "needed": needed,
    }


def mitochondria(data: Path, choose: bool) -> Task:
    """P-LUC: both blocks as they are, or two parts of the training block along x."""
    encoder = load_encoder(FOLDER / "isotropic.npz")
    protocol = protocol_luc.prepare(data, encoder.fov)
    vectors, truth = Candidate(encoder, protocol).embeddings(), protocol.positive.astype(int)
    train = np.arange(len(truth)) < protocol.counts["train"]
    test = ~train
    if choose:
        x = protocol.places.starts[:, 2]
        middle = np.median(x)
        test = train & (x >= middle + encoder.fov[2])
        train = train & (x < middle)
    size = protocol.volume.frame.voxel_size_nm
    pool = _pool(vectors[train], protocol.places.centres[train] * size, encoder.fov, size)
    return Task(pool, truth[train], vectors[test], truth[test])


def five_classes(data: Path, choose: bool) -> Task:
    """P-VNC: places anywhere in the training sections; scored on the protocol's."""
    encoder = load_encoder(FOLDER / "sections.npz")
    protocol = protocol_vnc.prepare(data, encoder.fov)
    labels = labels_of(data, "vnc_left_classes", protocol.volume)
    sections = split_sections(encoder.fov, len(labels))[0]
    rng = np.random.default_rng(1)
    found = np.argwhere(unanimous(labels, encoder.fov)[sections])
    found = found[rng.choice(len(found), POOL, replace=False)]
    found[:, 0] = np.asarray(sections)[found[:, 0]]
    scored = "choose" if choose else "test"
    begin = protocol.counts["train"] + (0 if choose else protocol.counts["choose"])
    voxels = protocol.places.voxels[begin : begin + protocol.counts[scored]]
    places = Places.around(np.concatenate([found, voxels]), encoder.fov)
    embedded = Candidate(encoder, dataclasses.replace(protocol, places=places)).embeddings()
    size = protocol.volume.frame.voxel_size_nm
    truth = labels[tuple(places.voxels.T)].astype(int) - 1
    assert len(np.unique(truth[:POOL])) == len(CLASSES)
    pool = _pool(embedded[:POOL], places.centres[:POOL] * size, encoder.fov, size)
    return Task(pool, truth[:POOL], embedded[POOL:], truth[POOL:])


def _pool(vectors: np.ndarray, places_nm: np.ndarray, fov: tuple, size: tuple) -> Pool:
    locations = Locations(np.arange(len(vectors)), vectors.astype(np.float32))
    return Pool(locations, places_nm, float(np.multiply(fov, size).max()))


if __name__ == "__main__":
    main()
