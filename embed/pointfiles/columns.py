"""Which columns of a table of places say what, and their cells as numbers."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Shaped, UInt64

from embed.errors import DataError
from embed.geometry import Frame
from embed.pointfiles.table import PointTable, Unit, placed, require_some

_NAMED: dict[Unit, tuple[str, str, str]] = {
    "nm": ("x_nm", "y_nm", "z_nm"),
    "voxel": ("x_voxel", "y_voxel", "z_voxel"),
}
_PLAIN = ("x", "y", "z")
_SEGMENT = ("segment", "segment_id")
_ID = "id"
_RULE = (
    "a table of points has the columns x_nm, y_nm, z_nm, or x, y, z and a unit (--unit nm, um or "
    "voxel), and may have segment and id"
)

Cells = Sequence[str] | Shaped[np.ndarray, " n"]
"""A column: text, or numbers, none of which is absent."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the columns of a table are.

    Attributes:
        axes: names of the columns with x, y, z.
        unit: of these.
        segment: name of the column with the segment ids, if there is one.
        id: name of the column that names the places, if there is one.
        ignored: the columns that are none of these.
    """

    axes: tuple[str, str, str]
    unit: Unit
    segment: str | None
    id: str | None
    ignored: tuple[str, ...]

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns to read."""
        return (*self.axes, *(name for name in (self.segment, self.id) if name is not None))


def layout(names: Sequence[str], unit: Unit | None, what: str) -> Layout:
    """Finds the columns that matter by their names.

    Args:
        names: of all columns.
        unit: of columns that are plainly x, y and z.
        what: the file, for messages.

    Raises:
        DataError: columns are missing, appear twice, or say two things.
    """
    repeated = next((name for name in names if name and names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{what}: column {repeated!r} appears more than once")
    axes, unit = _axes(names, unit, what)
    segments = [name for name in _SEGMENT if name in names]
    if len(segments) > 1:
        raise DataError(f"{what}: columns segment and segment_id; keep one of them")
    segment = segments[0] if segments else None
    named = _ID if _ID in names else None
    ignored = tuple(name for name in names if name not in (*axes, segment, named))
    return Layout(axes, unit, segment, named, ignored)


def _axes(names: Sequence[str], unit: Unit | None, what: str) -> tuple[tuple[str, str, str], Unit]:
    stated = {said: axes for said, axes in _NAMED.items() if set(axes) & set(names)}
    if len(stated) > 1:
        raise DataError(f"{what}: positions in nm and in voxels; keep one of them")
    for said, axes in stated.items():
        missing = [name for name in axes if name not in names]
        if missing:
            raise DataError(f"{what}: no column {missing[0]!r}; {_RULE}")
        if unit not in (None, said):
            raise DataError(f"{what}: its columns {', '.join(axes)} are in {said}, not in {unit}")
        return axes, said
    missing = [name for name in _PLAIN if name not in names]
    if missing:
        has = ", ".join(name for name in names if name)
        raise DataError(f"{what}: no column {missing[0]!r} among {has or 'none'}; {_RULE}")
    if unit is None:
        raise DataError(
            f"{what}: in which unit are x, y and z? say --unit nm, um or voxel (voxel i covers "
            "[i, i + 1)), or name the columns x_nm, y_nm, z_nm"
        )
    return _PLAIN, unit


def table(
    columns: Mapping[str, Cells],
    layout: Layout,
    frame: Frame,
    what: str,
    where: Callable[[int, str], str],
) -> PointTable:
    """The places in columns.

    Args:
        columns: those that the layout uses, all of one length.
        layout: what they are.
        frame: of the volume that the places are to be seen in.
        what: the file, for messages.
        where: names the cell in a row (counted from 0) of a column, for messages.

    Raises:
        DataError: there are no rows, a position is not finite, or an id is no uint64.
    """
    count = len(columns[layout.axes[0]])
    require_some(what, count)
    xyz = np.stack([_numbers(columns[name], name, where) for name in layout.axes], axis=1)
    segments, sources = np.zeros(count, np.uint64), np.arange(count, dtype=np.uint64)
    if layout.segment is not None:
        segments = _ids(columns[layout.segment], layout.segment, where, empty=0)
    if layout.id is not None:
        sources = _ids(columns[layout.id], layout.id, where, empty=None)
    positions = placed(xyz, layout.unit, frame)
    return PointTable(what, frame, positions, segments, sources, layout.unit, layout.ignored)


def _numbers(
    cells: Cells, name: str, where: Callable[[int, str], str]
) -> Float64[np.ndarray, " n"]:
    try:
        values = np.array(cells, np.float64)
    except ValueError:
        values = np.array([_number(cell) for cell in cells])
    fine = np.isfinite(values)
    if not fine.all():
        row = int(np.argmin(fine))
        raise DataError(
            f"{where(row, name)}: {str(cells[row])!r} is not a finite number (with a point before "
            "the decimals)"
        )
    return values


def _number(cell: object) -> float:
    try:
        return float(str(cell))
    except ValueError:
        return float("nan")


def _ids(
    cells: Cells, name: str, where: Callable[[int, str], str], empty: int | None
) -> UInt64[np.ndarray, " n"]:
    """Ids without loss: never by way of a float, which holds them only up to 2^53."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "u":
        return cells.astype(np.uint64)
    values = np.zeros(len(cells), np.uint64)
    for row, cell in enumerate(cells):
        text = str(cell)
        if not text and empty is not None:
            values[row] = empty
        elif text.isascii() and text.isdigit() and int(text) < 2**64:
            values[row] = int(text)
        else:
            raise DataError(
                f"{where(row, name)}: {text!r} is no id, which is a whole number from 0 to "
                "2^64 - 1 written in digits alone"
            )
    return values
