"""Labelled places as files tell them, whatever their format."""

import dataclasses
import datetime
import unicodedata
from collections.abc import Mapping

from embed.errors import DataError, RequestError
from embed.geometry import XyzFloat
from serve.labelling.classes import plain_text
from serve.labelling.label import Place


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A row that was left out.

    Attributes:
        line: of the file, or what numbers the row there.
        why: it was, for people.
    """

    line: int
    why: str


@dataclasses.dataclass(frozen=True)
class LabelFile:
    """What a file says.

    Attributes:
        places: in its order.
        skipped: rows that are no labels by the rules of its format.
        unit: what `line` counts.
    """

    places: tuple[Place, ...]
    skipped: tuple[Skipped, ...] = ()
    unit: str = "line"


def place_of(
    line: int, position_nm_xyz: XyzFloat, label: str, beside: Mapping[str, str], what: str
) -> Place:
    """A place as cells of text tell it.

    Args:
        line: of the file.
        position_nm_xyz: in nm.
        label: name of its class.
        beside: "author", "time" and "segment", as far as they are there; empty ones are not.
        what: the file is called in messages.

    Raises:
        DataError: a cell cannot be used; the message names the line.
    """
    where = f"{what}, line {line}"
    author = beside.get("author", "")
    return Place(
        position_nm_xyz,
        _text(label, "the name of a class", where),
        _text(author, "an author", where) if author else "",
        parse_time(beside.get("time", ""), where),
        parse_segment(beside.get("segment", ""), where),
        line,
    )


def parse_time(text: str, where: str) -> str:
    """A time as UTC in ISO 8601, of a time in ISO 8601 that is UTC where it does not say.

    Raises:
        DataError: it is none.
    """
    if not text:
        return ""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise DataError(
            f"{where}: {text[:100]!r} is no time in ISO 8601, as in 2026-01-31T12:00:00Z"
        ) from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.UTC)
    return time.astimezone(datetime.UTC).isoformat(timespec="seconds")


def parse_segment(text: str, where: str) -> int:
    """A segment id; 0 where there is none. Never by way of a float, which holds 53 bits of 64.

    Raises:
        DataError: it is none.
    """
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise DataError(
            f"{where}: {text[:100]!r} is no segment id, which is a whole number from 0 to 2^64 - 1 "
            "in digits alone"
        )
    return int(text)


def _text(text: str, what: str, where: str) -> str:
    # Some systems write é as two characters; people who type it mean one class.
    composed = unicodedata.normalize("NFC", text.strip())
    try:
        return plain_text(composed, what)
    except RequestError as error:
        raise DataError(f"{where}: {error}") from None
