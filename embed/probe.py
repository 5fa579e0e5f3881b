"""Linear probes: a class for every embedding, learnt from a few labelled ones.

Multinomial logistic regression with an L2 penalty on standardised embeddings, the classes weighted
alike however many labels each has (scikit-learn's). What is kept are plain arrays, so that
applying a probe needs numpy alone.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Float32, Int
from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from embed.errors import DataError
from embed.penalty import Scores, choose_penalty, fit
from embed.storage import read_json, write_json

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a probe is called and belongs to.

    Attributes:
        name: of the probe.
        atlas: fingerprint of the atlas that was labelled.
        encoder: fingerprint of its encoder; the probe fits embeddings of no other.
    """

    name: str
    atlas: str
    encoder: str


def _array(value: Any) -> Float[np.ndarray, "..."]:
    array = np.asarray(value, np.float64)
    if not np.isfinite(array).all():
        raise ValueError("a number is not finite")
    return array


_Stored = PlainValidator(_array), PlainSerializer(lambda array: array.tolist())


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A trained probe.

    Attributes:
        origin: what it is called and belongs to.
        classes: names, in the order of the probabilities.
        mean: subtracted from an embedding, float64 [dim].
        scale: divided into what is left, float64 [dim].
        weights: float64 [classes, dim].
        bias: float64 [classes].
        labels: how many labels of each class it learnt from.
        c: inverse strength of the penalty.
        scores: cross-validated; None where the labels do not allow it.
        unscored: why not; empty otherwise.
        seed: of the division into folds.
        versions: of the libraries; for people, never compared.
        created: time in UTC.
    """

    origin: Origin
    classes: tuple[str, ...]
    mean: Annotated[Float[np.ndarray, " dim"], *_Stored]
    scale: Annotated[Float[np.ndarray, " dim"], *_Stored]
    weights: Annotated[Float[np.ndarray, "classes dim"], *_Stored]
    bias: Annotated[Float[np.ndarray, " classes"], *_Stored]
    labels: dict[str, int]
    c: float
    scores: Scores | None
    unscored: str
    seed: int
    versions: dict[str, str]
    created: str
    format: int = FORMAT

    def __post_init__(self) -> None:
        shape = (len(self.classes), self.dim)
        found = (self.weights.shape, self.bias.shape, self.scale.shape)
        if found != (shape, shape[:1], shape[1:]):
            raise ValueError(f"{len(self.classes)} classes of {self.dim} numbers; got {found}")

    @property
    def name(self) -> str:
        """What it is called."""
        return self.origin.name

    @property
    def dim(self) -> int:
        """Length of the embeddings that it takes."""
        return len(self.mean)

    def probabilities(
        self, vectors: Float[np.ndarray, "n dim"]
    ) -> Float32[np.ndarray, "n classes"]:
        """The probability of each class for each embedding; every row sums to 1."""
        logits = (vectors - self.mean) / self.scale @ self.weights.T + self.bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


_PROBE = TypeAdapter(Probe)


def train_probe(
    vectors: Float[np.ndarray, "n dim"],
    labels: Sequence[str],
    origin: Origin,
    *,
    groups: Int[np.ndarray, " n"] | None = None,
    seed: int = 0,
) -> Probe:
    """Trains a probe on labelled embeddings.

    Args:
        vectors: unit length.
        labels: the class of each of them.
        origin: what the probe is called and belongs to.
        groups: the part of space that each lies in; cross-validation never divides a part, since
            fields of view that overlap would make it too easy. None: each is a part of its own.
        seed: of the division into folds.

    Raises:
        DataError: fewer than two classes, or a class with fewer than two labels.
    """
    labels = [str(label) for label in labels]
    counts = dict(sorted(Counter(labels).items()))
    if len(counts) < 2 or min(counts.values()) < 2:
        got = ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"
        raise DataError(
            f"a probe needs two classes or more with two labelled places or more each; got {got}"
        )
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has none

    names = np.array(list(counts))
    targets = np.searchsorted(names, np.asarray(labels, dtype=names.dtype))
    vectors = np.asarray(vectors, np.float64)
    parts = np.arange(len(vectors)) if groups is None else groups
    # Matrices this small wait longer for each other's threads than they compute: ten times less
    # processor time on one thread.
    with threadpool_limits(1, user_api="blas"):
        c, scores = choose_penalty(vectors, targets, parts, names, seed)
        pipeline = fit(vectors, targets, c)
    scaler, regression = pipeline[0], pipeline[1]
    weights, bias = _as_softmax(regression.coef_, regression.intercept_)
    return Probe(
        origin=origin,
        classes=tuple(counts),
        mean=scaler.mean_,
        scale=scaler.scale_,
        weights=weights,
        bias=bias,
        labels=counts,
        c=c,
        scores=scores,
        unscored=""
        if scores
        else "all labels of a class lie in one part of space; label others, too",
        seed=seed,
        versions={name: version(name) for name in ("scikit-learn", "numpy")},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def write_probe(path: Path, probe: Probe) -> None:
    """Writes a probe as JSON, whole or not at all.

    Raises:
        StorageError: the disk refuses; what was there stays.
    """
    write_json(path, _PROBE.dump_python(probe, mode="json"))


def read_probe(path: Path) -> Probe:
    """Reads what `write_probe` wrote.

    Raises:
        NotFoundError: nothing is there.
        DataError: it is damaged or of another format version.
    """
    value = read_json(path, "probe")
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DataError(f"{path} is not of probe format {FORMAT}; train the probe again")
    try:
        return _PROBE.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its arrays"
        raise DataError(f"{path} is damaged: {where}: {first['msg']}; train it again") from None


def _as_softmax(
    weights: Float[np.ndarray, "rows dim"], bias: Float[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, "classes dim"], Float[np.ndarray, " classes"]]:
    """Two classes are fitted as one row, the log odds of the second: the first one's are zero."""
    if len(weights) > 1:
        return weights, bias
    return np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])
