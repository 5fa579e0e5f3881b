"""Places in a Parquet file."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Shaped

from embed.errors import DataError, MissingExtraError, NotFoundError
from embed.geometry import Frame
from embed.pointfiles.columns import Cells, layout, table
from embed.pointfiles.table import PointTable, Unit


def read_parquet(path: Path, frame: Frame, unit: Unit | None = None) -> PointTable:
    """Reads a Parquet file; its columns are those of a CSV file (`read_csv`).

    Ids are whole numbers or digits as text, and a segment that is null is none.

    Raises:
        NotFoundError: there is no such file.
        DataError: the file cannot be read or breaks a rule; the message names the row, counted
            from 0.
        MissingExtraError: Parquet needs pyarrow.
    """
    arrow, parquet = _pyarrow()
    if not path.is_file():
        raise NotFoundError(f"no file of points at {path}")
    try:
        with parquet.ParquetFile(path) as file:
            found = layout(file.schema_arrow.names, unit, str(path))
            read = file.read(columns=list(found.used))
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"cannot read points from {path}: {error}") from error

    def where(row: int, column: str) -> str:
        return f"{path}, row {row}, column {column}"

    columns: dict[str, Cells] = {name: _numbers(arrow, read, name, where) for name in found.axes}
    for name in (found.segment, found.id):
        if name is not None:
            columns[name] = _ids(arrow, read, name, path)
    return table(columns, found, frame, str(path), where)


def _numbers(arrow: Any, read: Any, name: str, where: Any) -> Shaped[np.ndarray, " n"]:
    column = read.column(name)
    kinds = arrow.types
    if not any(of(column.type) for of in (kinds.is_integer, kinds.is_floating, kinds.is_null)):
        raise DataError(f"{where(0, name)}: {column.type} is no number")
    values: np.ndarray = column.to_numpy()
    return values.astype(np.float64)  # null is NaN, which is refused


def _ids(arrow: Any, read: Any, name: str, path: Path) -> Cells:
    column = read.column(name)
    kinds = arrow.types
    text = kinds.is_string(column.type) or kinds.is_large_string(column.type)
    if not (text or kinds.is_integer(column.type) or kinds.is_null(column.type)):
        raise DataError(
            f"{path}, column {name}: {column.type} loses digits of an id; write it as uint64"
        )
    if column.null_count:
        return ["" if value is None else str(value) for value in column.to_pylist()]
    values: np.ndarray = column.to_numpy()
    return values


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "points in Parquet need pyarrow: pip install 'voxkin[parquet]', or save them as CSV"
        ) from error
    return pyarrow, pyarrow.parquet
