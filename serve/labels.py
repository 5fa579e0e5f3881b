"""Labelled positions in a CSV file, as people write them and spreadsheets save them."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from embed.atlas import Atlas
from embed.errors import DataError, NotFoundError, OutOfBoundsError
from embed.geometry import Frame, XyzFloat

NM = ("x_nm", "y_nm", "z_nm")
VOXEL = ("x_voxel", "y_voxel", "z_voxel")
EXTRA = ("author", "time", "segment", "comment")
_RULE = (
    f"it needs {', '.join(NM)} (or {', '.join(VOXEL)}) and label, in any order, and may have "
    f"{', '.join(EXTRA)}"
)


@dataclasses.dataclass(frozen=True)
class LabelTable:
    """Labelled positions, in the order of the file.

    Attributes:
        positions_nm_xyz: float64 [n, 3].
        labels: one per position, never empty.
    """

    positions_nm_xyz: Float[np.ndarray, "n 3"]
    labels: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """One label of a file.

    Attributes:
        line: of the file, on which it ends.
        position_nm_xyz: where it is.
        label: what is there.
        beside: the columns of `EXTRA` that the file has, by name, as they are written.
    """

    line: int
    position_nm_xyz: XyzFloat
    label: str
    beside: Mapping[str, str]


def read_labels(path: Path, atlas: Atlas | None = None) -> LabelTable:
    """Reads a CSV file with a header line.

    Args:
        path: UTF-8, comma separated. Positions are in the columns x_nm, y_nm, z_nm, or in
            x_voxel, y_voxel, z_voxel, where voxel i covers [i, i + 1); the name of what is there
            is in the column label; author, time, segment and comment are allowed and not read.
        atlas: turns voxels into nm, and refuses positions outside its locations.

    Raises:
        NotFoundError: there is no such file.
        DataError: the file cannot be read, breaks a rule above, or leaves the atlas; the message
            names the line and the column.
    """
    rows = read_rows(content_of(path), str(path), atlas.frame if atlas else None)
    positions = np.array([row.position_nm_xyz for row in rows])
    if atlas is not None:
        _require_inside(path, atlas, positions, [row.line for row in rows])
    return LabelTable(positions, tuple(row.label for row in rows))


def read_rows(content: bytes, what: str, frame: Frame | None) -> list[Row]:
    """The labels in a CSV file, in its order; see `read_labels`.

    Args:
        content: of the file.
        what: the file is called in messages.
        frame: turns voxels into nm.

    Raises:
        DataError: a rule is broken; the message names the line and the column.
    """
    reader = csv.reader(io.StringIO(text_of(content, what), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        axes = _axes(what, header)
        if axes == VOXEL and frame is None:
            raise DataError(f"{what} has positions in voxels, which need an atlas; use {NM}")
        lines = ((reader.line_num, cells) for cells in reader)
        rows = list(_rows(what, lines, header, axes))
    except csv.Error as error:
        raise DataError(f"{what}, line {reader.line_num}: not CSV ({error})") from None
    if not rows:
        raise DataError(f"{what} has no labels: there is nothing below its header")
    if axes == VOXEL and frame is not None:
        voxels = np.array([row.position_nm_xyz for row in rows])
        nm = frame.to_nm_xyz(voxels[:, ::-1]).tolist()
        rows = [
            dataclasses.replace(row, position_nm_xyz=(x, y, z))
            for row, (x, y, z) in zip(rows, nm, strict=True)
        ]
    return rows


def content_of(path: Path) -> bytes:
    """The bytes of a file of labels.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"no label file at {path}") from None
    except OSError as error:
        raise DataError(f"cannot read labels from {path}: {error.strerror}") from None


def text_of(content: bytes, what: str) -> str:
    """The text of a file of labels.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")  # spreadsheets put a mark at the start
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{what}, line {line}: not UTF-8 text; save it as CSV UTF-8") from None


def _axes(what: str, header: list[str]) -> tuple[str, ...]:
    """Checks the header and says which columns hold the position."""
    if not any(header):
        raise DataError(f"{what}, line 1: no header; {_RULE}")
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{what}, line 1: column {repeated!r} appears more than once")
    unknown = [name for name in header if name not in (*NM, *VOXEL, *EXTRA, "label")]
    if unknown:
        raise DataError(f"{what}, line 1: unknown column {unknown[0]!r}; {_RULE}")
    axes = VOXEL if any(name in VOXEL for name in header) else NM
    if axes == VOXEL and any(name in NM for name in header):
        raise DataError(f"{what}, line 1: positions in nm and in voxels; keep one of them")
    missing = [name for name in (*axes, "label") if name not in header]
    if missing:
        raise DataError(f"{what}, line 1: no column {missing[0]!r}; {_RULE}")
    return axes


def _rows(
    what: str, lines: Iterable[tuple[int, list[str]]], header: list[str], axes: Sequence[str]
) -> Iterator[Row]:
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise DataError(
                f"{what}, line {line}: {len(cells)} cells where the header names {len(header)} "
                "columns"
            )
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        if not row["label"]:
            raise DataError(f"{what}, line {line}, column label: empty; every place needs a label")
        if not row["label"].isprintable():
            raise DataError(
                f"{what}, line {line}, column label: {row['label']!r} is not plain text"
            )
        x, y, z = (_number(what, line, axis, row[axis]) for axis in axes)
        yield Row(line, (x, y, z), row["label"], {k: row[k] for k in EXTRA if k in row})


def _number(what: str, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{what}, line {line}, column {column}: {cell!r} is not a finite number (with a point "
            "before the decimals)"
        )
    return value


def _require_inside(
    path: Path, atlas: Atlas, positions: Float[np.ndarray, "n 3"], lines: list[int]
) -> None:
    try:
        atlas.ids_at(positions)
        return
    except OutOfBoundsError:
        pass  # which line is it?
    low, high = map(np.asarray, atlas.extent_nm_xyz)
    for line, position in zip(lines, positions, strict=True):
        try:
            atlas.ids_at(position[None])
        except OutOfBoundsError as error:
            outside = np.maximum(low - position, position - high)
            axis = int(np.argmax(outside))
            if outside[axis] <= 0:  # among given places, but near none
                raise DataError(f"{path}, line {line}: {error}") from None
            raise DataError(
                f"{path}, line {line}, column {NM[axis]}: {position[axis]:g} nm is outside atlas "
                f"{atlas.name!r}, whose locations run from {low[axis]:g} to {high[axis]:g} nm"
            ) from None
