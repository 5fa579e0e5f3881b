"""Messages of probes to what the library speaks, and back."""

from collections.abc import Mapping
from typing import TypeVar, get_args

from embed.errors import RequestError
from embed.probing.class_prior import Wish as PriorWish
from embed.probing.learning_curve import CurvePoint
from embed.probing.linear import Kind
from embed.probing.scores import Scores
from serve.pb.voxkin.v1 import probe_pb2
from serve.probes import Teaching
from serve.probing import suggestions
from serve.probing.suggestions import Suggestion
from serve.wire.answers import ProbeSummary
from serve.wire.codec import position, read_position

Word = TypeVar("Word", bound=str)

_KINDS: dict[Kind, probe_pb2.ProbeKind] = {
    "multiclass": probe_pb2.PROBE_KIND_MULTICLASS,
    "multilabel": probe_pb2.PROBE_KIND_MULTILABEL,
}
_SOURCES: dict[str, probe_pb2.PriorSource] = {
    "estimated": probe_pb2.PRIOR_SOURCE_ESTIMATED,
    "given": probe_pb2.PRIOR_SOURCE_GIVEN,
    "none": probe_pb2.PRIOR_SOURCE_NONE,
}
_SUGGESTIONS: dict[suggestions.Kind, probe_pb2.SuggestionKind] = {
    "mixed": probe_pb2.SUGGESTION_KIND_MIXED,
    "uncertain": probe_pb2.SUGGESTION_KIND_UNCERTAIN,
    "likely": probe_pb2.SUGGESTION_KIND_LIKELY,
    "unknown": probe_pb2.SUGGESTION_KIND_UNKNOWN,
}


def probe(summary: ProbeSummary) -> probe_pb2.Probe:
    """The description of a probe."""
    return probe_pb2.Probe(
        name=summary.name,
        classes=summary.classes,
        labels=summary.labels,
        scores=None if summary.scores is None else _scores(summary.scores),
        unscored=summary.unscored,
        encoder_fingerprint=summary.encoder,
        created=summary.created,
        kind=_KINDS[summary.kind],
        learning_curve=[
            probe_pb2.CurvePoint(labels=at.labels, score=at.score, deviation=at.deviation)
            for at in summary.curve
        ],
        prior=summary.prior,
        prior_source=_SOURCES[summary.prior_source],
        version=summary.version,
        versions=summary.versions,
        restored=summary.restored,
        labels_from=summary.labels_from,
        sets=summary.sets,
    )


def read_probe(message: probe_pb2.Probe) -> ProbeSummary:
    """The description that a server sent."""
    return ProbeSummary(
        name=message.name,
        kind=_read(_KINDS, message.kind, "multiclass"),
        classes=tuple(message.classes),
        labels=dict(message.labels),
        labels_from=message.labels_from,
        sets=tuple(message.sets),
        scores=_read_scores(message.scores) if message.HasField("scores") else None,
        unscored=message.unscored,
        curve=tuple(CurvePoint(at.labels, at.score, at.deviation) for at in message.learning_curve),
        prior=dict(message.prior),
        prior_source=_read(_SOURCES, message.prior_source, "none"),
        encoder=message.encoder_fingerprint,
        created=message.created,
        version=message.version,
        versions=message.versions,
        restored=message.restored,
    )


def teaching(request: probe_pb2.TrainProbeRequest) -> Teaching:
    """How a probe is to be trained.

    Raises:
        RequestError: shares are given where none are wanted, or wanted and not given; or both
            places and sets are given.
    """
    if request.sets and request.places:
        raise RequestError("a probe learns from places or from class sets; send one of the two")
    source = _read(_SOURCES, request.prior_source, "given" if request.prior else "estimated")
    if (source == "given") != bool(request.prior):
        raise RequestError(
            f"prior_source is {source}, and prior has {len(request.prior)} shares; send shares "
            "with given, and with nothing else"
        )
    prior: PriorWish = dict(request.prior) if request.prior else "estimated"
    if source == "none":
        prior = "none"
    kind: Kind = _read(_KINDS, request.kind, "multiclass")
    return Teaching(kind=kind, prior=prior, labels="sent by a caller")


def train_request(atlas: str, name: str, how: Teaching) -> probe_pb2.TrainProbeRequest:
    """The request to train a probe, without what it learns from."""
    source = how.prior if isinstance(how.prior, str) else "given"
    return probe_pb2.TrainProbeRequest(
        atlas=atlas,
        name=name,
        kind=_KINDS[how.kind],
        prior_source=_SOURCES[source],
        prior={} if isinstance(how.prior, str) else how.prior,
    )


def wish(request: probe_pb2.SuggestRequest) -> suggestions.Wish:
    """Which places are to be suggested."""
    default = suggestions.Wish()
    kind = _read(_SUGGESTIONS, request.kind, default.kind)
    return suggestions.Wish(request.k or default.k, kind, request.label)


def suggest_request(atlas: str, name: str, wished: suggestions.Wish) -> probe_pb2.SuggestRequest:
    """The request for suggestions.

    Raises:
        RequestError: there is no such kind.
    """
    if wished.kind not in _SUGGESTIONS:
        there = ", ".join(get_args(suggestions.Kind))
        raise RequestError(f"kind is one of {there}; got {wished.kind!r}")
    if not 0 < wished.k <= suggestions.MOST:
        raise RequestError(f"k is 1 to {suggestions.MOST}; got {wished.k}")
    return probe_pb2.SuggestRequest(
        atlas=atlas, name=name, k=wished.k, kind=_SUGGESTIONS[wished.kind], label=wished.label
    )


def suggestion(place: Suggestion) -> probe_pb2.Suggestion:
    """A place to label."""
    return probe_pb2.Suggestion(
        location_id=place.id,
        position_nm=position(place.position_nm_xyz),
        probabilities=place.probabilities,
        uncertainty=place.uncertainty,
        unknown=place.unknown,
        why=place.why,
    )


def read_suggestion(message: probe_pb2.Suggestion) -> Suggestion:
    """The place that a server sent."""
    return Suggestion(
        id=message.location_id,
        position_nm_xyz=read_position(message.position_nm),
        probabilities=dict(message.probabilities),
        uncertainty=message.uncertainty,
        unknown=message.unknown,
        why=message.why,
    )


def _scores(scores: Scores) -> probe_pb2.ProbeScores:
    return probe_pb2.ProbeScores(
        folds=scores.folds,
        balanced_accuracy=scores.balanced_accuracy,
        f1=scores.f1,
        average_precision=scores.average_precision,
        calibration_error=scores.calibration_error,
        uncalibrated_error=scores.uncalibrated_error,
    )


def _read_scores(message: probe_pb2.ProbeScores) -> Scores:
    calibrated = message.HasField("calibration_error")
    uncalibrated = message.HasField("uncalibrated_error")
    return Scores(
        message.folds,
        message.balanced_accuracy,
        message.f1,
        dict(message.average_precision),
        message.calibration_error if calibrated else None,
        message.uncalibrated_error if uncalibrated else None,
    )


def _read(words: Mapping[Word, int], number: int, default: Word) -> Word:
    """The word that a number of an enum stands for; the default where it is not said or newer."""
    return next((word for word, known in words.items() if known == number), default)
