"""What an index is, how it was made, how good it is, and which one serves.

`index/<version>/` holds `index.faiss` and `manifest.json`, neither of which ever changes;
`index/current.json` names the version that serves.
"""

import dataclasses
import hashlib
import shutil
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, NotFoundError
from embed.storage import read_json, write_json
from serve.recall import Step

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The description of one version of an index.

    Attributes:
        version: name of its directory.
        atlas: fingerprint of the atlas.
        factory: FAISS factory string, or "Flat".
        reason: why this one.
        dim: length of a vector.
        count: locations in it.
        voids: locations of the atlas without data, which are not in it.
        lists: inverted lists.
        nprobe: lists that a search reads.
        training: locations that it was trained on.
        candidates: locations it proposed for each query when its recall was measured.
        queries: locations, none of them trained on, that its recall was measured with.
        recall: recall@10 at `nprobe`, 0 to 1, against comparing every location.
        sweep: the recall at other values of nprobe.
        seed: of the training sample and of k-means.
        bytes: size of `index.faiss`.
        sha256: of `index.faiss`.
        versions: of the libraries; for people, never compared.
        seconds: that the build took.
        created: time in UTC.
    """

    version: str
    atlas: str
    factory: str
    reason: str
    dim: int
    count: int
    voids: int
    lists: int
    nprobe: int
    training: int
    candidates: int
    queries: int
    recall: float
    sweep: tuple[Step, ...]
    seed: int
    bytes: int
    sha256: str
    versions: dict[str, str]
    seconds: float
    created: str
    format: int = FORMAT

    @property
    def holds_vectors(self) -> bool:
        """Whether it holds whole vectors, so that its similarities are exact."""
        return holds_vectors(self.factory)

    @property
    def exact(self) -> bool:
        """Whether a search compares every location exactly."""
        return self.holds_vectors and self.nprobe == self.lists


_MANIFEST = TypeAdapter(Manifest)


def holds_vectors(factory: str) -> bool:
    """Whether an index of this factory holds whole vectors rather than codes of them."""
    return factory == "Flat" or (factory.startswith("IVF") and factory.endswith(",Flat"))


def index_root(atlas: Atlas) -> Path:
    """Where the versions of an atlas's index are."""
    return atlas.path / "index"


def next_version(atlas: Atlas) -> str:
    """The name of a version that is not there yet."""
    versions = [int(path.name) for path in index_root(atlas).glob("[0-9]*")]
    return f"{max(versions, default=0) + 1:04d}"


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes the manifest into the directory of its index."""
    write_json(directory / "manifest.json", _MANIFEST.dump_python(manifest, mode="json"))


def put_in_service(atlas: Atlas, version: str) -> None:
    """Makes a version the one that is opened from now on, and removes those before the last."""
    write_json(index_root(atlas) / "current.json", {"version": version})
    # The last one stays for whoever has just read its name and is about to open it.
    for path in sorted(index_root(atlas).glob("[0-9]*"))[:-2]:
        shutil.rmtree(path, ignore_errors=True)


def serving_version(atlas: Atlas) -> str:
    """The version that is named as serving, without a look at it.

    Raises:
        NotFoundError: none is.
        DataError: what names it is damaged.
    """
    value = read_json(index_root(atlas) / "current.json", "current index")
    try:
        return str(value["version"])
    except (KeyError, TypeError):
        raise DataError(f"the index of {atlas.name!r} is damaged") from None


def current_manifest(atlas: Atlas) -> tuple[Manifest, Path]:
    """The manifest of the version that serves, and its FAISS file after a check of its bytes.

    Raises:
        NotFoundError: there is no index.
        MismatchError: it was built from other embeddings.
        DataError: it is damaged.
    """
    again = f"build it again with: voxkin index {atlas.path} --rebuild"
    manifest, directory = _read(atlas, again)
    if manifest.atlas != atlas.info.fingerprint:
        raise MismatchError(
            f"the index was built from other embeddings (atlas {manifest.atlas}) than those of "
            f"{atlas.name!r} ({atlas.info.fingerprint}); {again}"
        )
    path = directory / "index.faiss"
    found = path.stat().st_size if path.exists() else 0
    if found != manifest.bytes:
        raise DataError(f"{path} has {found:,} bytes instead of {manifest.bytes:,}; {again}")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256:
            raise DataError(f"{path} is damaged (its SHA-256 differs); {again}")
    return manifest, path


def _read(atlas: Atlas, again: str) -> tuple[Manifest, Path]:
    current = index_root(atlas) / "current.json"
    if not current.exists():
        raise NotFoundError(
            f"atlas {atlas.name!r} has no index; make one with: voxkin index {atlas.path}"
        )
    try:
        directory = index_root(atlas) / str(read_json(current, "current index")["version"])
        value = read_json(directory / "manifest.json", "manifest of an index")
        if value["format"] != FORMAT:
            raise DataError(f"{directory} is not of index format {FORMAT}")
        return _MANIFEST.validate_python(value), directory
    except (NotFoundError, DataError) as error:
        raise DataError(f"{error}; {again}") from None
    except (ValidationError, KeyError, TypeError):
        raise DataError(f"the index of {atlas.name!r} is damaged; {again}") from None
