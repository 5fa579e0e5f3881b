"""Class sets: what places may be called, in which colour, by which key."""

import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Sequence

from embed.errors import RequestError

MAX_CLASSES = 255
"""In a set: a map of classes has a byte for each location."""

MAX_TEXT = 100
"""Characters of a class's name, an author's or a source's."""

PALETTE = (
    *("#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#f0e442", "#0072b2", "#999999"),
    *("#a6761d", "#66a61e", "#7570b3", "#e7298a"),
)
"""Colours of classes that nobody gave one: first those that colour-blind readers tell apart."""

_SET_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
# Spreadsheets compute what begins so, and labels go into tables that people open in them.
_FORMULA = re.compile(r"[=@]|[+-].")


@dataclasses.dataclass(frozen=True)
class LabelClass:
    """A class.

    Attributes:
        name: plain text; see `plain_text`.
        colour: #rrggbb.
        key: the character that stands for it on a keyboard; empty where none does.
    """

    name: str
    colour: str
    key: str = ""

    def __post_init__(self) -> None:
        plain_text(self.name, "the name of a class")
        if not _COLOUR.fullmatch(self.colour):
            raise RequestError(
                f"the colour of class {self.name!r} is #rrggbb in lower-case hexadecimal digits, "
                f"as in #e69f00; got {self.colour[:MAX_TEXT]!r}"
            )
        if len(self.key) > 1 or not self.key.isprintable() or self.key.isspace():
            raise RequestError(
                f"the key of class {self.name!r} is one printable character or none; got "
                f"{self.key[:MAX_TEXT]!r}"
            )


@dataclasses.dataclass(frozen=True)
class ClassSet:
    """Classes of which a place has at most one by each author.

    Attributes:
        name: 1 to 64 of a-z, 0-9, - and _, so that a probe can be called the same.
        classes: in the order in which they are shown.
        labels: how many labels each class has now, in the same order; 0 of all in a new set.
    """

    name: str
    classes: tuple[LabelClass, ...]
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        checked_set_name(self.name)
        if len(self.classes) > MAX_CLASSES:
            raise RequestError(f"a set has at most {MAX_CLASSES} classes; got {len(self.classes)}")
        for what, values in (
            ("classes called", [c.name for c in self.classes]),
            ("classes with the key", [c.key for c in self.classes if c.key]),
        ):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise RequestError(f"set {self.name!r} has two {what} {twice!r}; change one")


def checked_set_name(name: str) -> str:
    """The name of a class set.

    Raises:
        RequestError: it is none.
    """
    if not _SET_NAME.fullmatch(name):
        raise RequestError(
            f"the name of a class set is 1 to 64 of a-z, 0-9, - and _; got {name[:MAX_TEXT]!r}"
        )
    return name


def plain_text(text: str, what: str) -> str:
    """Text that any program may show, in any table.

    Args:
        text: 1 to 100 printable characters in Unicode's composed form, without space around it,
            which no spreadsheet takes for a formula.
        what: it is, as in "the name of a class".

    Raises:
        RequestError: it is none.
    """
    fine = 0 < len(text) <= MAX_TEXT and text.isprintable() and text == text.strip()
    if not fine or not unicodedata.is_normalized("NFC", text):
        raise RequestError(
            f"{what} is 1 to {MAX_TEXT} printable characters (in Unicode's form NFC) without space "
            f"before or after them; got {text[:MAX_TEXT]!r}"
            + (f" and so on, {len(text):,} characters" if len(text) > MAX_TEXT else "")
        )
    if _FORMULA.match(text):
        raise RequestError(
            f"{what} may not begin as a formula does, with =, @, or + or - and more; got {text!r}"
        )
    return text


def with_more(classes: Sequence[LabelClass], names: Iterable[str]) -> tuple[LabelClass, ...]:
    """Classes, and behind them those of the names that are not among them.

    New ones get colours of the palette and, while there are any, digits that are free as keys.
    """
    extended = list(classes)
    digits = [d for d in "123456789" if d not in {c.key for c in classes}]
    for name in dict.fromkeys(names):
        if name not in {c.name for c in extended}:
            colour = PALETTE[len(extended) % len(PALETTE)]
            extended.append(LabelClass(name, colour, digits.pop(0) if digits else ""))
    return tuple(extended)
