"""Messages to what the library speaks, and back: class sets and labels."""

from collections.abc import Sequence

from embed.errors import RequestError
from serve.labelling.classes import ClassSet, LabelClass
from serve.labelling.label import Changes, Label, Place
from serve.pb.voxkin.v1 import label_pb2
from serve.wire.codec import position, read_position

MAX_LABELS = 10_000
"""Labels of one call; more are a file to import."""


def class_set(known: ClassSet) -> label_pb2.LabelSet:
    """A class set."""
    counts = known.labels or (0,) * len(known.classes)
    return label_pb2.LabelSet(
        name=known.name,
        classes=[
            label_pb2.LabelClass(name=one.name, colour=one.colour, key=one.key, labels=labels)
            for one, labels in zip(known.classes, counts, strict=True)
        ],
    )


def read_class_set(message: label_pb2.LabelSet) -> ClassSet:
    """A class set.

    Raises:
        RequestError: a name, colour or key is none, or appears twice.
    """
    return ClassSet(
        message.name,
        tuple(LabelClass(one.name, one.colour, one.key) for one in message.classes),
        tuple(one.labels for one in message.classes),
    )


def label(stored: Label) -> label_pb2.Label:
    """A label."""
    return label_pb2.Label(
        id=stored.id,
        position_nm=position(stored.position_nm_xyz),
        location_id=stored.location,
        set=stored.set,
        label=stored.label,
        author=stored.author,
        time=stored.time,
        source=stored.source,
        segment=stored.segment,
    )


def read_label(message: label_pb2.Label) -> Label:
    """The label that a server sent."""
    return Label(
        message.id,
        read_position(message.position_nm),
        message.location_id,
        message.set,
        message.label,
        message.author,
        message.time,
        message.source,
        message.segment,
    )


def changes(found: Changes) -> label_pb2.ListLabelsResponse:
    """What changed among labels."""
    return label_pb2.ListLabelsResponse(
        labels=map(label, found.labels),
        removed=found.removed,
        revision=found.revision,
        more=found.more,
    )


def read_changes(message: label_pb2.ListLabelsResponse) -> Changes:
    """The changes that a server sent."""
    return Changes(
        tuple(map(read_label, message.labels)),
        tuple(message.removed),
        message.revision,
        message.more,
    )


def new_labels(places: Sequence[Place]) -> list[label_pb2.NewLabel]:
    """Places to label."""
    return [
        label_pb2.NewLabel(position_nm=position(place.position_nm_xyz), label=place.label)
        for place in places
    ]


def read_new_labels(messages: Sequence[label_pb2.NewLabel]) -> list[Place]:
    """Places to label.

    Raises:
        RequestError: they are too many.
    """
    if len(messages) > MAX_LABELS:
        raise RequestError(f"one call labels at most {MAX_LABELS:,} places; got {len(messages):,}")
    return [Place(read_position(new.position_nm), new.label) for new in messages]
