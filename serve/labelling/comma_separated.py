"""Labels as CSV with positions in nm, which `serve.labels` reads."""

import csv
import io
from collections.abc import Sequence

from embed.geometry import Frame
from serve.labelling.label import Place
from serve.labelling.places import LabelFile, place_of
from serve.labels import EXTRA, NM, read_rows


def read_csv(content: bytes, what: str, frame: Frame | None) -> LabelFile:
    """The labels in a CSV file; see `serve.labels.read_labels`.

    Args:
        content: of the file.
        what: the file is called in messages.
        frame: turns voxels into nm.

    Raises:
        DataError: the file breaks a rule; the message names the line.
    """
    rows = read_rows(content, what, frame)
    return LabelFile(
        tuple(place_of(r.line, r.position_nm_xyz, r.label, r.beside, what) for r in rows)
    )


def write_csv(places: Sequence[Place]) -> bytes:
    """The same file of places; segments have a column where any is known."""
    beside = [name for name in EXTRA if name != "comment"]
    if not any(place.segment for place in places):
        beside.remove("segment")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((*NM, "label", *beside))
    for place in places:
        told = {"author": place.author, "time": place.time, "segment": place.segment or ""}
        numbers = map(plain_number, place.position_nm_xyz)
        writer.writerow((*numbers, place.label, *(told[name] for name in beside)))
    return text.getvalue().encode()


def plain_number(value: float) -> str:
    """A number as people write it, to a millionth of a nanometre in a meter.

    >>> plain_number(260.0), plain_number(0.1 + 0.2)
    ('260', '0.3')
    """
    return f"{value:.15g}"
