"""Labels as CAVE's tables of cell types have them, in CSV.

A row is a point annotation: `pt_position` in voxels of a resolution that the table's metadata
states, or in nm; `classification_system` and `cell_type`; `valid`, `id`, `created`; `pt_root_id`,
the segment. So `caveclient` gives them (`DataFrame.to_csv`), with `split_positions` or without.
CAVE multiplies voxels by the resolution, nothing added: voxel i begins at i times its edge.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from embed.errors import DataError
from embed.geometry import XyzFloat
from serve.labelling.comma_separated import plain_number
from serve.labelling.label import Place
from serve.labelling.places import LabelFile, Skipped, place_of
from serve.labels import text_of

NM_RESOLUTION: XyzFloat = (1.0, 1.0, 1.0)
"""The resolution of positions in nm."""

COLUMNS = (
    *("id", "created", "valid", "classification_system", "cell_type", "pt_position", "pt_root_id"),
    *("author", "voxel_resolution"),
)
"""What is written. The last two are ours: CAVE has them in the metadata of a table."""

_SPLIT = ("pt_position_x", "pt_position_y", "pt_position_z")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# As lists and as numpy print them.
_THREE = re.compile(rf"[\[(]?\s*({_NUMBER})[,\s]+({_NUMBER})[,\s]+({_NUMBER})\s*[\])]?")
_VALID = {"": True, "t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
_MAX_SYSTEMS_TOLD = 10


def read_cave(
    content: bytes, what: str, resolution_nm: XyzFloat | None = None, system: str | None = None
) -> LabelFile:
    """The labels in a table.

    Args:
        content: of the file.
        what: the file is called in messages.
        resolution_nm: edge lengths of the voxels that positions are in, XYZ; 1, 1, 1 says nm. Not
            needed where the table has a column voxel_resolution.
        system: takes the rows of this classification system, where the table has several.

    Raises:
        DataError: the file breaks a rule, says not what its positions are in, or has several
            classification systems of which none is `system`.
    """
    rows = list(_rows(content, what))
    valid = [(line, row) for line, row in rows if _is_valid(line, row, what)]
    systems = sorted({row.get("classification_system", "") for _, row in valid})
    if len(systems) > 1 and system not in systems:
        told = ", ".join(systems[:_MAX_SYSTEMS_TOLD])
        raise DataError(
            f"{what} has {len(systems)} classification systems ({told}); name the set as the one "
            "to take"
        )
    places, skipped = [], []
    for line, row in rows:
        why = ""
        if not _is_valid(line, row, what):
            why = "it is not valid"
        elif not row["cell_type"]:
            why = "it has no cell_type"
        elif len(systems) > 1 and row["classification_system"] != system:
            why = f"it is of classification system {row['classification_system']!r}"
        if why:
            skipped.append(Skipped(line, why))
        else:
            places.append(_place(line, row, what, resolution_nm))
    return LabelFile(tuple(places), tuple(skipped))


def write_cave(
    places: Sequence[Place], system: str, resolution_nm: XyzFloat = NM_RESOLUTION
) -> bytes:
    """A table of places, which `read_cave` reads.

    Args:
        places: are numbered from 1.
        system: the classification system of them all.
        resolution_nm: edge lengths of the voxels that positions are written in, XYZ.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    resolution = _bracketed(resolution_nm)
    for number, place in enumerate(places, 1):
        voxel = [p / edge for p, edge in zip(place.position_nm_xyz, resolution_nm, strict=True)]
        writer.writerow(
            (
                *(number, place.time, "t", system, place.label, _bracketed(voxel)),
                *(place.segment, place.author, resolution),
            )
        )
    return text.getvalue().encode()


def _rows(content: bytes, what: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows below the header by column, with the lines that they end on."""
    reader = csv.reader(io.StringIO(text_of(content, what), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _require_columns(header, what)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{what}, line {reader.line_num}: {len(cells)} cells where the header names "
                    f"{len(header)} columns"
                )
            yield reader.line_num, dict(zip(header, map(str.strip, cells), strict=True))
    except csv.Error as error:
        raise DataError(f"{what}, line {reader.line_num}: not CSV ({error})") from None


def _require_columns(header: Sequence[str], what: str) -> None:
    has_position = "pt_position" in header or set(_SPLIT) <= set(header)
    if not has_position or "cell_type" not in header:
        has = ", ".join(filter(None, header))[:300] or "none"
        raise DataError(
            f"{what}, line 1: a CAVE table has the columns pt_position (or "
            f"{', '.join(_SPLIT)}) and cell_type; this has {has}"
        )
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{what}, line 1: column {twice!r} appears more than once")


def _is_valid(line: int, row: Mapping[str, str], what: str) -> bool:
    said = row.get("valid", "").lower()
    if said not in _VALID:
        raise DataError(f"{what}, line {line}, column valid: {said[:100]!r} is neither t nor f")
    return _VALID[said]


def _place(line: int, row: Mapping[str, str], what: str, resolution_nm: XyzFloat | None) -> Place:
    cell = row.get("pt_position") or " ".join(row.get(name, "") for name in _SPLIT)
    voxel = _three(cell, f"{what}, line {line}, column pt_position")
    edges = _resolution(line, row, what, resolution_nm)
    x, y, z = (v * edge for v, edge in zip(voxel, edges, strict=True))
    beside = {
        "author": row.get("author", ""),
        "time": row.get("created", ""),
        "segment": row.get("pt_root_id", ""),
    }
    return place_of(line, (x, y, z), row["cell_type"], beside, what)


def _resolution(line: int, row: Mapping[str, str], what: str, asked: XyzFloat | None) -> XyzFloat:
    said = row.get("voxel_resolution", "")
    if not said and asked is None:
        raise DataError(
            f"{what}: in which voxels are its positions? say the edge lengths in nm (X,Y,Z), as in "
            "4,4,40; or 1,1,1 for positions in nm"
        )
    if not said and asked is not None:
        return asked
    found = _three(said, f"{what}, line {line}, column voxel_resolution")
    if min(found) <= 0 or asked not in (None, found):
        asked_for = "" if asked is None else f"; asked for was {_bracketed(asked)}"
        raise DataError(
            f"{what}, line {line}, column voxel_resolution: {_bracketed(found)}, where three "
            f"lengths above 0 are needed{asked_for}"
        )
    return found


def _three(cell: str, where: str) -> XyzFloat:
    match = _THREE.fullmatch(cell.strip())
    x, y, z = map(float, match.groups()) if match else (math.nan, math.nan, math.nan)
    if not all(map(math.isfinite, (x, y, z))):
        raise DataError(f"{where}: {cell[:100]!r} is not three numbers, as in [120, 340, 56]")
    return x, y, z


def _bracketed(values: Sequence[float]) -> str:
    return f"[{', '.join(map(plain_number, values))}]"
