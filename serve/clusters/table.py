"""The points of a projection as a table: CSV, or Parquet with pyarrow."""

import dataclasses
import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32, Int

from embed.errors import DataError, MissingExtraError
from embed.storage import write_bytes

Format = Literal["csv", "parquet"]
COLUMNS = ("id", "x_nm", "y_nm", "z_nm", "umap_x", "umap_y", "cluster")
_TYPES = ("i8", "f8", "f8", "f8", "f4", "f4", "i8")


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """The points of a map.

    Attributes:
        ids: of the locations, int64 [n].
        positions_nm_xyz: centres of their fields of view, float64 [n, 3].
        xy: where they lie on the map, float32 [n, 2]; no unit.
        clusters: int64 [n]; 0 is the largest cluster, -1 is none.
    """

    ids: Int[np.ndarray, " n"]
    positions_nm_xyz: Float[np.ndarray, "n 3"]
    xy: Float32[np.ndarray, "n 2"]
    clusters: Int[np.ndarray, " n"]


def require_format(kind: Format) -> None:
    """Checks that a table of this kind can be written and read here.

    Raises:
        MissingExtraError: Parquet needs pyarrow.
    """
    if kind == "parquet":
        parquet_modules()


def write_points(path: Path, points: Points, kind: Format) -> None:
    """Writes the table whole.

    Raises:
        MissingExtraError: Parquet needs pyarrow.
        StorageError: the disk refuses.
    """
    x, y, z = points.positions_nm_xyz.T
    u, v = points.xy.T
    columns = dict(zip(COLUMNS, (points.ids, x, y, z, u, v, points.clusters), strict=True))
    if kind == "parquet":
        arrow, parquet = parquet_modules()
        sink = io.BytesIO()
        parquet.write_table(arrow.table(columns), sink)
        write_bytes(path, sink.getvalue())
        return
    # str of a numpy number is the shortest text that reads back as the same number.
    rows = (",".join(map(str, row)) for row in zip(*columns.values(), strict=True))
    write_bytes(path, ("\n".join([",".join(COLUMNS), *rows]) + "\n").encode())


def read_points(path: Path) -> Points:
    """Reads what `write_points` wrote.

    Raises:
        DataError: the table is missing or damaged.
        MissingExtraError: Parquet needs pyarrow.
    """
    try:
        if path.suffix == ".parquet":
            table = parquet_modules()[1].read_table(path).to_pydict()
        else:
            header, *rows = path.read_text().splitlines() or [""]
            if header != ",".join(COLUMNS) or not rows:
                raise ValueError(f"its header is {header!r} and {len(rows)} rows follow")
            types = list(zip(COLUMNS, _TYPES, strict=True))
            table = np.loadtxt(rows, types, delimiter=",", ndmin=1)
        columns = [
            np.asarray(table[name], kind) for name, kind in zip(COLUMNS, _TYPES, strict=True)
        ]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read ({error}); run `voxkin project` again") from None
    ids, x, y, z, u, v, clusters = columns
    return Points(ids, np.stack([x, y, z], axis=1), np.stack([u, v], axis=1), clusters)


def parquet_modules() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet.

    Raises:
        MissingExtraError: they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError(
            "Parquet needs pyarrow: pip install 'voxkin[parquet]', or choose --format csv"
        ) from None
    return pyarrow, pyarrow.parquet
