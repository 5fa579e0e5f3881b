"""What it is worth to take off what is typical of an atlas, class by class.

    python -m tests.benchmarks.bench_typical [ENCODER ...] [--weights 0 0.25 0.5 1] [--test]
        [--data FOLDER]

Retrieval with the pretrained encoders, or others, as `typical_weight` of a search has it: what is
typical is the mean embedding of random places of the volume. On P-LUC precision@15 and @50 of
mitochondria, as far apart as the protocol asks, and the average precision of all places by their
similarity; on P-VNC precision@10 of each class in a balanced gallery. Where recipes may be chosen,
where so few mitochondria lie apart that precision@50 says little, or with `--test` on the blocks
that the protocols score. The last line is one JSON object.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from sklearn.metrics import average_precision_score

from embed.backends.choice import open_backend
from embed.checkpoint import TrainedEncoder, load_encoder
from embed.dense import embed_grid
from embed.evaluation import controls
from embed.evaluation.candidate import Candidate
from embed.evaluation.fewshot import draw
from embed.evaluation.protocol import Protocol
from embed.evaluation.protocol_luc import Mitochondria
from embed.evaluation.retrieval import far_enough, separated
from embed.evaluation.vnc_places import CLASSES
from embed.geometry import Box, zyx
from tests.benchmarks.bench_suggestions import DATA
from tests.benchmarks.validation import chosen, prepared

ENCODERS = [Path("embed/encoders") / f"{name}.npz" for name in ("isotropic", "sections")]
_BLOCKS = 64
_QUERIES = 200
_HITS, _APART_NM, _EXCLUDED_NM = (15, 50), 160.0, 330.0
_NEIGHBOURS = 10

Rows = Float32[np.ndarray, "n dim"]


def main() -> None:
    """Prints a line for each encoder and weight."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoders", type=Path, nargs="*", default=ENCODERS)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.0, 0.25, 0.5, 1.0])
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    asked = parser.parse_args()
    report = {}
    for path in asked.encoders:
        encoder = load_encoder(path)
        task, rows = prepared(asked.data, encoder.config, test=asked.test)
        vectors = Candidate(encoder, task).embeddings()[rows]
        typical, task = _typical(encoder, task), chosen(task, rows)
        for weight in asked.weights:
            found = _scores(task, vectors, weight * typical, test=asked.test)
            report[f"{path.stem}, {weight:g}"] = found
            columns = "  ".join(f"{name} {value:.3f}" for name, value in found.items())
            print(f"{path.stem:10} weight {weight:<5g} {columns}", flush=True)
    print(json.dumps(report))


def _typical(encoder: TrainedEncoder, task: Protocol) -> Float[np.ndarray, " dim"]:
    backend, rng, box = open_backend(encoder), np.random.default_rng(0), task.volume.box
    size = encoder.config.voxels((1, 4, 4))
    found = []
    for _ in range(_BLOCKS):
        start = [
            int(rng.integers(a, b - n + 1))
            for a, b, n in zip(box.start, box.stop, size, strict=True)
        ]
        block = Box.of_shape(size, start=zyx(start))
        found.append(embed_grid(backend, task.volume, block, encoder.stride)[1])
    return np.concatenate(found).reshape(-1, encoder.embedding_dim).mean(axis=0)


def _scores(
    task: Protocol, vectors: Rows, typical: Float[np.ndarray, " dim"], *, test: bool
) -> dict[str, float]:
    if isinstance(task, Mitochondria):
        return _mitochondria(task, vectors, typical, test=test)
    return _classes(task, vectors, typical)


def _mitochondria(
    task: Mitochondria, vectors: Rows, typical: Float[np.ndarray, " dim"], *, test: bool
) -> dict[str, float]:
    first = task.counts["train"] if test else 0
    positive, vectors = task.positive[first:], vectors[first:]
    nm = task.places.centres[first:] * task.volume.frame.voxel_size_nm
    fov_nm = controls.fov_nm(task.places.fov, task.volume.frame.voxel_size_nm)
    queries = np.random.default_rng(0).permutation(np.flatnonzero(positive))[:_QUERIES]
    found: dict[str, list[float]] = {f"p@{k}": [] for k in _HITS} | {"AP": []}
    for query in queries:
        may = np.flatnonzero(far_enough(nm[query], nm, fov_nm, _EXCLUDED_NM))
        alike = vectors[may] @ (vectors[query] - typical)
        found["AP"].append(float(average_precision_score(positive[may], alike)))
        best = may[separated(alike, nm[may], max(_HITS), _APART_NM)]
        for k in _HITS:
            found[f"p@{k}"].append(float(positive[best[:k]].mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _classes(task: Protocol, vectors: Rows, typical: Float[np.ndarray, " dim"]) -> dict[str, float]:
    labels, train, tested = task.labels, task.counts["train"], task.counts["test"]
    of_train = labels[:train]
    balanced = int(np.unique(of_train, return_counts=True)[1].min())
    gallery = draw(of_train, balanced, np.random.default_rng(0))
    truth = labels[-tested:]
    alike = (vectors[-tested:] - typical) @ vectors[gallery].T
    best = np.argpartition(-alike, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    right = (labels[gallery][best] == truth[:, None]).mean(axis=1)
    by_class = {name: float(right[truth == i].mean()) for i, name in enumerate(CLASSES, 1)}
    return {"P@10": float(np.mean([*by_class.values()])), **by_class}


if __name__ == "__main__":
    main()
