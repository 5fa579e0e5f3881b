"""Files of labels in every format: what one is, reading and writing."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

from embed.errors import ConfigError, NotFoundError
from embed.geometry import Frame, XyzFloat
from embed.storage import is_free, write_bytes
from serve.labelling.annotation_layer import layer_files, read_layer
from serve.labelling.cave import NM_RESOLUTION, read_cave, write_cave
from serve.labelling.classes import LabelClass
from serve.labelling.comma_separated import read_csv, write_csv
from serve.labelling.label import Place
from serve.labelling.places import LabelFile
from serve.labels import content_of
from serve.swap import replacing

Format = Literal["csv", "cave", "precomputed"]
FORMATS: tuple[Format, ...] = get_args(Format)


def format_of(source: str) -> Format:
    """The format of a file, folder or URL: annotations, or by the columns of its first line.

    Raises:
        NotFoundError: nothing is there.
        DataError: the file cannot be read.
    """
    path = Path(source).expanduser()
    if "://" in source or path.is_dir() or path.name == "info":
        return "precomputed"
    if not path.exists():
        raise NotFoundError(f"no label file at {source}")
    first = content_of(path).split(b"\n", 1)[0]
    return "cave" if b"cell_type" in first else "csv"


def read_file(
    source: str,
    format: Format,
    *,
    frame: Frame | None = None,
    resolution_nm: XyzFloat | None = None,
    system: str | None = None,
    property: str | None = None,
) -> LabelFile:
    """The labels of a file, folder or URL.

    Args:
        source: of annotations a folder or URL, else the path of a file.
        format: that it has.
        frame: turns positions of a CSV file in voxels into nm.
        resolution_nm: of the positions of a CAVE table; see `read_cave`.
        system: the classification system of a CAVE table to take, where it has several.
        property: of annotations: the one that is the class.

    Raises:
        NotFoundError: nothing is there.
        DataError: it breaks a rule of its format.
        VolumeError: a URL cannot be reached.
        ConfigError: an argument says nothing of this format.
    """
    for flag, value, apt in (
        ("--resolution", resolution_nm, "cave"),
        ("--property", property, "precomputed"),
    ):
        if value is not None and format != apt:
            raise ConfigError(f"{flag} says nothing of {format} such as {source}; leave it out")
    if format == "precomputed":
        return read_layer(source, property)
    content = content_of(Path(source).expanduser())
    return read_content(
        content, format, source, frame=frame, resolution_nm=resolution_nm, system=system
    )


def read_content(
    content: bytes,
    format: Literal["csv", "cave"],
    what: str,
    *,
    frame: Frame | None = None,
    resolution_nm: XyzFloat | None = None,
    system: str | None = None,
) -> LabelFile:
    """The labels in a file of which only the bytes are there; see `read_file`."""
    if format == "cave":
        return read_cave(content, what, resolution_nm, system)
    return read_csv(content, what, frame)


def written(
    places: Sequence[Place],
    format: Format,
    *,
    classes: Sequence[LabelClass],
    system: str,
    resolution_nm: XyzFloat | None = None,
) -> bytes | Iterable[tuple[str, bytes]]:
    """The file of some places, or the files of a folder of annotations by their path in it.

    Args:
        places: with the names of classes.
        format: to write.
        classes: with all that places have among them, which give annotations their colours.
        system: what a CAVE table calls its classification system.
        resolution_nm: edge lengths of the voxels in which a CAVE table has its positions; nm where
            it is not given.
    """
    if format == "precomputed":
        return layer_files(places, classes)
    if format == "cave":
        return write_cave(places, system, resolution_nm or NM_RESOLUTION)
    return write_csv(places)


def save(content: bytes | Iterable[tuple[str, bytes]], out: Path) -> None:
    """Puts a file, or the files of a folder, where nothing is yet; whole or not at all.

    Raises:
        ConfigError: something is there.
        StorageError: the disk refuses.
    """
    if not is_free(out):
        raise ConfigError(f"{out} exists; choose a new --out")
    if isinstance(content, bytes):
        write_bytes(out, content)
        return
    with replacing(out) as folder:
        for name, value in content:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(value)


def zipped(files: Iterable[tuple[str, bytes]], folder: str) -> bytes:
    """A zip with some files in a folder."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in files:
            archive.writestr(f"{folder}/{name}", value)
    return content.getvalue()
