"""Reads places from whatever a source is: a table, annotations or skeletons."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from embed.errors import ConfigError, DataError, NotFoundError
from embed.formats.arrays import read_json, url
from embed.formats.source import parse
from embed.geometry import Frame
from embed.pointfiles import annotation_format, skeletons
from embed.pointfiles.annotations import read_annotations
from embed.pointfiles.comma_separated import read_csv
from embed.pointfiles.parquet import read_parquet
from embed.pointfiles.table import PointTable, Unit, placed, require_some

_PARQUET = (".parquet", ".pq")
_KNOWN = (
    "a CSV or Parquet file, an SWC file or a folder of them, or the folder or URL of precomputed "
    "annotations or skeletons"
)


def read_points(
    source: str | Path,
    frame: Frame,
    *,
    unit: Unit | None = None,
    spacing_nm: float | None = None,
    segments: Iterable[int] | None = None,
    relationship: str | None = None,
) -> PointTable:
    """Reads all places of a source.

    Args:
        source: path or URL.
        frame: of the volume that the places are to be seen in.
        unit: of columns that are plainly x, y and z, and of SWC files, which are in nm otherwise.
        spacing_nm: of skeletons: nodes that are kept are at least so far apart.
        segments: of precomputed skeletons: only these.
        relationship: of annotations: the one whose first object is the segment; the only one if
            not given, and none where there are several.

    Raises:
        NotFoundError: there is no such file, relationship or skeleton.
        DataError: it cannot be read, has no places, or is none of these.
        VolumeError: a URL cannot be reached.
        ConfigError: an argument says nothing of this kind of source.
        MissingExtraError: Parquet needs pyarrow.
    """
    said = {
        "--unit": unit is not None,
        "--spacing": spacing_nm is not None,
        "--segments": segments is not None,
        "--relationship": relationship is not None,
    }
    source = str(source)
    path = Path(source).expanduser()
    if path.is_file() and path.suffix.lower() in (".csv", *_PARQUET):
        _require_apt(source, "a table", said, "--unit")
        read = read_csv if path.suffix.lower() == ".csv" else read_parquet
        return read(path, frame, unit)
    if _is_swc(path):
        _require_apt(source, "SWC", said, "--unit", "--spacing")
        found = skeletons.read_swc(path)
        return _of_skeletons(source, found, unit or "nm", frame, spacing_nm)
    kind = _precomputed(source, path)
    if kind == annotation_format.TYPE:
        _require_apt(source, "annotations", said, "--relationship")
        return _of_annotations(source, frame, relationship)
    if kind == skeletons.TYPE:
        _require_apt(source, "skeletons", said, "--spacing", "--segments")
        found = skeletons.read_precomputed(source, segments)
        return _of_skeletons(source, found, "nm", frame, spacing_nm)
    raise DataError(f"{source} holds no points ({kind or 'no info'}); they are read from {_KNOWN}")


def _is_swc(path: Path) -> bool:
    if path.is_dir():
        return not (path / "info").is_file() and any(path.glob("*.swc"))
    return path.is_file() and path.suffix.lower() == ".swc"


def _precomputed(source: str, path: Path) -> str | None:
    """The kind of precomputed data at a folder or URL; None where there is no `info`."""
    if "://" not in source and not path.exists():
        raise NotFoundError(f"no points at {source}; they are read from {_KNOWN}")
    if path.is_file() and path.name != "info":
        return path.suffix or "a file"
    kvstore = parse(source).spec["kvstore"]
    info = read_json(kvstore, ["info"]).get("info")
    if info is None:
        if "://" in source:
            raise NotFoundError(f"no points at {url(kvstore)}: there is no file info")
        return None
    return skeletons.TYPE if info.get("skeletons") else info.get("@type")


def _require_apt(source: str, what: str, said: Mapping[str, bool], *apt: str) -> None:
    """Checks that nothing was said that means nothing here."""
    unapt = next((name for name, is_said in said.items() if is_said and name not in apt), None)
    if unapt is not None:
        raise ConfigError(f"{unapt} says nothing of {what} such as {source}; leave it out")


def _of_skeletons(
    source: str,
    found: Iterable[skeletons.Skeleton],
    unit: Unit,
    frame: Frame,
    spacing_nm: float | None,
) -> PointTable:
    positions, segments, sources = [], [], []
    for skeleton in found:
        places, nodes = placed(skeleton.nodes_xyz, unit, frame), skeleton.ids
        if spacing_nm is not None and len(places):
            kept = skeletons.spaced_out(places * np.asarray(frame.voxel_size_nm), spacing_nm)
            places, nodes = places[kept], nodes[kept]
        positions.append(places)
        sources.append(nodes)
        segments.append(np.full(len(nodes), skeleton.segment, np.uint64))
    require_some(source, sum(map(len, positions)))
    return PointTable(
        name=source,
        frame=frame,
        positions=np.concatenate(positions),
        segments=np.concatenate(segments),
        sources=np.concatenate(sources),
        unit=unit,
    )


def _of_annotations(source: str, frame: Frame, relationship: str | None) -> PointTable:
    found = read_annotations(source)
    require_some(source, len(found))
    names = list(found.relationships)
    if relationship is not None and relationship not in names:
        known = ", ".join(names) or "none"
        raise NotFoundError(f"no relationship {relationship!r} in {source}; it has {known}")
    if relationship is None and len(names) == 1:
        relationship = names[0]
    segments = np.zeros(len(found), np.uint64)
    if relationship is not None:
        segments = found.relationships[relationship].firsts()
    positions = placed(found.positions_nm_xyz, "nm", frame)
    return PointTable(source, frame, positions, segments, found.ids)
