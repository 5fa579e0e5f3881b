"""Places in a CSV file, as people write them and spreadsheets save them."""

import csv
import io
from pathlib import Path

from embed.errors import DataError, NotFoundError
from embed.geometry import Frame
from embed.pointfiles.columns import layout, table
from embed.pointfiles.table import PointTable, Unit


def read_csv(path: Path, frame: Frame, unit: Unit | None = None) -> PointTable:
    """Reads a CSV file with a header line.

    Args:
        path: UTF-8, comma separated. Positions are in the columns x_nm, y_nm, z_nm (or x_voxel,
            y_voxel, z_voxel), or in x, y, z; segment (or segment_id) and id may be there, as
            whole numbers; an empty segment is none. Other columns are not read.
        frame: of the volume that the places are to be seen in.
        unit: of columns that are plainly x, y and z.

    Raises:
        NotFoundError: there is no such file.
        DataError: the file cannot be read or breaks a rule above; the message names the line.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    lines: list[int] = []
    try:
        names = [name.strip() for name in next(reader, [])]
        if not any(names):
            raise DataError(f"{path} is empty: it has no line of column names")
        found = layout(names, unit, str(path))
        index = {name: names.index(name) for name in found.used}
        columns: dict[str, list[str]] = {name: [] for name in found.used}
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells where the header names "
                    f"{len(names)} columns"
                )
            lines.append(reader.line_num)
            for name, at in index.items():
                columns[name].append(cells[at].strip())
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({error})") from None

    def where(row: int, column: str) -> str:
        return f"{path}, line {lines[row]}, column {column}"

    return table(columns, found, frame, str(path), where)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # spreadsheets put a mark at the start
    except FileNotFoundError:
        raise NotFoundError(f"no file of points at {path}") from None
    except OSError as error:
        raise DataError(f"cannot read points from {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text; save it as CSV UTF-8") from None
