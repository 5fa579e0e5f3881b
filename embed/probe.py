"""Linear probes: the probability of each class for an embedding, learnt from a few labelled ones.

Logistic regression with an L2 penalty on standardised embeddings (scikit-learn's), calibrated, with
classes as common as they are in the volume; `embed.probing.training` trains them. What is kept are
plain arrays, so that applying a probe needs numpy alone.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Float32, Int
from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from embed.errors import DataError
from embed.probing.class_prior import ClassPrior
from embed.probing.learning_curve import CurvePoint
from embed.probing.linear import Kind, Linear, Standard, probabilities_of
from embed.probing.novelty import Novelty
from embed.probing.scores import Scores
from embed.probing.stored import Stored
from embed.storage import read_json, write_json

FORMAT = 2
_FIRST_FORMAT = 1
"""Without calibration, class shares, novelty, curve and places; read, no longer written."""


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a probe is called and belongs to.

    Attributes:
        name: of the probe.
        atlas: fingerprint of the atlas that was labelled.
        encoder: fingerprint of its encoder; the probe fits embeddings of no other.
        labels: where its labels are from; for people.
        sets: names of the class sets that its labels are of; empty where they are of none.
    """

    name: str
    atlas: str
    encoder: str
    labels: str = ""
    sets: tuple[str, ...] = ()


_Ids = (
    PlainValidator(lambda value: np.asarray(value, np.int64).reshape(-1)),
    PlainSerializer(lambda array: array.tolist()),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A trained probe.

    Attributes:
        origin: what it is called and belongs to.
        kind: whether a place is of one class, or classes are decided each alone.
        classes: names, in the order of the probabilities.
        mean: subtracted from an embedding, float64 [dim].
        scale: divided into what is left, float64 [dim].
        weights: float64 [classes, dim].
        bias: float64 [classes].
        slopes: multiplied with the logits, which calibrates them, float64 [classes].
        shifts: added then, which makes classes as common as they are, float64 [classes].
        prior: how common they are.
        novelty: tells what is unlike anything labelled; None of a probe that cannot.
        labels: how many labels of each class it learnt from.
        places: ids of the locations that were labelled, int64; empty where not known.
        c: inverse strength of the penalty.
        scores: cross-validated; None where the labels do not allow it.
        unscored: why not; empty otherwise.
        curve: cross-validated scores with fewer labels; empty where there are no scores.
        seed: of the division into folds.
        versions: of the libraries; for people, never compared.
        created: time in UTC.
        version: counts the probes of its name, from 1.
        restored: the version that this one is a copy of; 0 where it was trained.
    """

    origin: Origin
    kind: Kind
    classes: tuple[str, ...]
    mean: Annotated[Float[np.ndarray, " dim"], *Stored]
    scale: Annotated[Float[np.ndarray, " dim"], *Stored]
    weights: Annotated[Float[np.ndarray, "classes dim"], *Stored]
    bias: Annotated[Float[np.ndarray, " classes"], *Stored]
    slopes: Annotated[Float[np.ndarray, " classes"], *Stored]
    shifts: Annotated[Float[np.ndarray, " classes"], *Stored]
    prior: ClassPrior
    novelty: Novelty | None
    labels: dict[str, int]
    places: Annotated[Int[np.ndarray, " n"], *_Ids]
    c: float
    scores: Scores | None
    unscored: str
    curve: tuple[CurvePoint, ...]
    seed: int
    versions: dict[str, str]
    created: str
    version: int = 1
    restored: int = 0
    format: int = FORMAT

    def __post_init__(self) -> None:
        shape = (len(self.classes), self.dim)
        found = (self.weights.shape, self.scale.shape)
        if found != (shape, shape[1:]) or (self.scale == 0).any():
            raise ValueError(f"{len(self.classes)} classes of {self.dim} numbers; got {found}")
        lengths = {len(part) for part in (self.bias, self.slopes, self.shifts, self.prior.shares)}
        if lengths != {len(self.classes)}:
            raise ValueError(f"{len(self.classes)} classes; got arrays of {sorted(lengths)}")
        if self.novelty is not None and self.novelty.centres.shape[1] != self.dim:
            raise ValueError(f"embeddings of {self.dim} numbers; got other distances")

    @property
    def name(self) -> str:
        """What it is called."""
        return self.origin.name

    @property
    def dim(self) -> int:
        """Length of the embeddings that it takes."""
        return len(self.mean)

    def logits(self, vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n classes"]:
        """How much speaks for each class where all are as common as each other; calibrated."""
        return self.slopes * Linear(self.weights, self.bias).logits(self.rows(vectors))

    def probabilities(
        self, vectors: Float[np.ndarray, "n dim"]
    ) -> Float32[np.ndarray, "n classes"]:
        """The probability of each class for each embedding.

        Every row sums to 1, unless classes are decided each alone.
        """
        logits = self.logits(vectors) + self.shifts
        return probabilities_of(self.kind, logits).astype(np.float32)

    def unknown(self, vectors: Float[np.ndarray, "n dim"]) -> Float32[np.ndarray, " n"]:
        """How unlike anything labelled embeddings are, 0 to 1; 0 where the probe cannot tell.

        It is the share of labelled places that were less so when they were left out: beyond 0.95
        something else may well be there, whatever the probabilities say.
        """
        if self.novelty is None:
            return np.zeros(len(vectors), np.float32)
        return self.novelty.score(self.rows(vectors))

    def distances(self, vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, " n"]:
        """The same without a limit, for ranking what is unknown; 0 where it cannot tell."""
        if self.novelty is None:
            return np.zeros(len(vectors))
        return self.novelty.distances(self.rows(vectors))

    def direction(self, number: int) -> Float[np.ndarray, " dim"]:
        """The direction in embeddings along which a class gains most on the others."""
        weights = self.weights[number]
        if self.kind == "multiclass":
            weights = weights - np.delete(self.weights, number, axis=0).mean(axis=0)
        return weights / self.scale

    def rows(self, vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """Embeddings brought to the scale that it works at."""
        return Standard(self.mean, self.scale)(vectors)


_PROBE = TypeAdapter(Probe)


def to_json(probe: Probe) -> Any:
    """A probe as a JSON value."""
    return _PROBE.dump_python(probe, mode="json")


def write_probe(path: Path, probe: Probe) -> None:
    """Writes a probe as JSON, whole or not at all.

    Raises:
        StorageError: the disk refuses; what was there stays.
    """
    write_json(path, to_json(probe))


def read_probe(path: Path) -> Probe:
    """Reads what `write_probe` wrote, now or in the first format.

    Raises:
        NotFoundError: nothing is there.
        DataError: it is damaged or of another format version.
    """
    value = read_json(path, "probe")
    if isinstance(value, dict) and value.get("format") == _FIRST_FORMAT:
        value = _renewed(value)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DataError(f"{path} is not of probe format {FORMAT}; train the probe again")
    try:
        return _PROBE.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its arrays"
        raise DataError(f"{path} is damaged: {where}: {first['msg']}; train it again") from None


def _renewed(value: dict[str, Any]) -> dict[str, Any]:
    """A probe of the first format as one of this, which says the same of every embedding."""
    classes = list(value.get("classes") or [])
    added = {
        "kind": "multiclass",
        "slopes": [1.0] * len(classes),
        "shifts": [0.0] * len(classes),
        "prior": {"shares": dict.fromkeys(classes, 1 / max(len(classes), 1)), "source": "none"},
        "novelty": None,
        "places": [],
        "curve": [],
        "format": FORMAT,
    }
    return value | added
