"""Skeletons of segments: precomputed ones, as Neuroglancer has them, and SWC files."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, UInt64

from embed.errors import DataError, NotFoundError
from embed.formats.arrays import Json, read_json, url
from embed.formats.source import parse
from embed.pointfiles.keyed import Keyed, open_keyed

TYPE = "neuroglancer_skeletons"


@dataclasses.dataclass(frozen=True, eq=False)
class Skeleton:
    """The nodes of one skeleton, in the order of its file.

    Attributes:
        segment: the segment that it is of; 0 where its file does not say.
        nodes_xyz: in nm, or in the unit of the SWC file.
        ids: of the nodes: as in the SWC file, or counted from 0.
    """

    segment: int
    nodes_xyz: Float64[np.ndarray, "n 3"]
    ids: UInt64[np.ndarray, " n"]


def read_precomputed(
    source: str | Path, segments: Iterable[int] | None = None
) -> Iterator[Skeleton]:
    """Reads the skeletons of some segments, or all, in the order of their ids; positions in nm.

    Format: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/skeletons.md

    Args:
        source: folder or URL of the skeletons, or of the segmentation that names them.
        segments: ids; all if not given.

    Raises:
        VolumeError: the place cannot be reached, or its `info` is no JSON.
        NotFoundError: there is no `info`, or a segment has no skeleton.
        DataError: a skeleton is damaged, or all are wanted of a server that cannot list them.
    """
    kvstore = parse(source).spec["kvstore"]
    info = _info(kvstore)
    path = ""
    if info.get("@type") != TYPE and info.get("skeletons"):
        path = str(info["skeletons"])
        info = _info(open_keyed(kvstore, path, None).store.spec().to_json())
    if info.get("@type") != TYPE:
        raise DataError(f"{url(kvstore)} holds no skeletons: its info is {info.get('@type')!r}")
    stored = open_keyed(kvstore, path, info.get("sharding"))
    wanted = _listed(stored) if segments is None else sorted(set(segments))
    turn = _transform(info, stored.where)
    for segment, value in zip(wanted, stored.values(map(str, wanted)), strict=True):
        if value is None:
            raise NotFoundError(f"no skeleton of segment {segment} in {stored.where}")
        nodes = _vertices(value, f"{stored.where}{segment}") @ turn[:, :3].T + turn[:, 3]
        yield Skeleton(segment, nodes, np.arange(len(nodes), dtype=np.uint64))


def read_swc(path: Path) -> Iterator[Skeleton]:
    """Reads an SWC file, or every one in a folder, in the order of their names.

    A node is a line of id, type, x, y, z, radius and parent; the segment is the name of the file
    if that is a number.

    Raises:
        NotFoundError: there is no such file, or none in the folder.
        DataError: a file breaks the format; the message names the line.
    """
    files = sorted(path.glob("*.swc")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise NotFoundError(f"no SWC file at {path}")
    for file in files:
        number = file.stem if file.stem.isascii() and file.stem.isdigit() else "0"
        if int(number) >= 2**64:
            raise DataError(f"{file}: {number} is no segment id, which is less than 2^64")
        yield _swc(file, int(number))


def spaced_out(nodes: Float64[np.ndarray, "n 3"], spacing: float) -> Bool[np.ndarray, " n"]:
    """Which nodes to keep so that none is nearer than `spacing` to another that is kept.

    A node is kept where no earlier one is too near; so the first always is.
    """
    from scipy.spatial import KDTree

    kept = np.ones(len(nodes), bool)
    tree = KDTree(nodes)
    for node, place in enumerate(nodes):
        if kept[node]:
            near = np.asarray(tree.query_ball_point(place, spacing * (1 - 1e-9)), np.int64)
            kept[near[near > node]] = False
    return kept


def _swc(path: Path, segment: int) -> Skeleton:
    nodes: list[tuple[float, float, float]] = []
    ids: list[int] = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} as SWC: {error}") from error
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            node, x, y, z = int(words[0]), float(words[2]), float(words[3]), float(words[4])
        except (IndexError, ValueError):
            node = -1
        if not 0 <= node < 2**64 or not np.isfinite((x, y, z)).all():
            raise DataError(
                f"{path}, line {number}: {line.strip()!r} is no node, which is a whole number, a "
                "type, x, y, z, a radius and the parent's number"
            )
        nodes.append((x, y, z))
        ids.append(node)
    return Skeleton(segment, np.array(nodes, np.float64).reshape(-1, 3), np.array(ids, np.uint64))


def _info(kvstore: Json) -> Json:
    info = read_json(kvstore, ["info"]).get("info")
    if info is None:
        raise NotFoundError(f"no skeletons at {url(kvstore)}: there is no file info")
    return info


def _listed(stored: Keyed) -> list[int]:
    keys = stored.keys()
    if keys is None:
        raise DataError(
            f"the server of {stored.where} does not list its skeletons: name the segments, or read "
            "it from a bucket (gs://, s3://) or a copy on disk"
        )
    return sorted({int(key) for key in keys if key.isascii() and key.isdigit()})


def _transform(info: Json, where: str) -> Float64[np.ndarray, "3 4"]:
    """From stored positions to nm."""
    said: Sequence[float] = info.get("transform") or np.eye(3, 4).ravel().tolist()
    try:
        return np.array(said, np.float64).reshape(3, 4)
    except (ValueError, TypeError) as error:
        raise DataError(f"the transform of {where} is no 12 numbers: {said}") from error


def _vertices(content: bytes, where: str) -> Float64[np.ndarray, "n 3"]:
    count = int.from_bytes(content[:4], "little")
    end = 8 + 12 * count
    if len(content) < end + 8 * int.from_bytes(content[4:8], "little"):
        raise DataError(f"{where} is damaged: {len(content)} bytes do not hold its {count} nodes")
    nodes = np.frombuffer(content[8:end], "<f4").reshape(-1, 3).astype(np.float64)
    if not np.isfinite(nodes).all():
        raise DataError(f"{where} is damaged: a node has no finite position")
    return nodes
