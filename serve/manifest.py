"""What an index is, how it was made, how good it is, and which one serves.

`index/<version>/` holds `manifest.json`, `index.faiss` and what belongs to them, none of which ever
changes; `index/current.json` names the version that serves.
"""

import dataclasses
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, NotFoundError
from embed.storage import read_json, write_json
from serve.fleet.slabs import Slab
from serve.indexing.factory import Factory
from serve.indexing.faiss_files import check_bytes, check_size
from serve.indexing.sweep import Step

FORMAT = 2


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
        candidates: locations that it proposes for ten hits, to be compared exactly.
        queries: locations, none of them trained on, that its recall was measured with.
        recall: recall@10 at `nprobe` and `candidates`, 0 to 1, against comparing every location.
        sweep: recall and cost at other settings.
        seed: of the training sample and of k-means.
        bytes: size of `index.faiss`.
        sha256: of `index.faiss`.
        versions: of the libraries; for people, never compared.
        seconds: that the build took.
        created: time in UTC.
        locations: locations with data that the atlas had, whether in the index or beside one that
            is.
        trained_at: how many they were when it was trained.
        trained_bytes: size of `trained.faiss`, which is the index without its locations.
        trained_sha256: of the same.
        every: 1 where every location is in it, 2 where one of each cube of 2 x 2 x 2 is.
        removed: locations that are never found.
        removed_sha256: of the file with their ids; empty where there are none.
        note: what was done to the version before, for people.
        slabs: its parts, where it is no single file; `bytes` is then their sum, and `sha256` that
            of theirs.
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
    locations: int
    trained_at: int
    trained_bytes: int
    trained_sha256: str
    every: int = 1
    removed: int = 0
    removed_sha256: str = ""
    note: str = ""
    slabs: tuple[Slab, ...] = ()
    format: int = FORMAT

    @cached_property
    def holds_vectors(self) -> bool:
        """Whether it holds whole vectors, so that its similarities are exact."""
        return Factory(self.factory).holds_vectors

    @property
    def exact(self) -> bool:
        """Whether a search compares every location exactly."""
        return self.holds_vectors and self.nprobe == self.lists and self.every == 1


_MANIFEST = TypeAdapter(Manifest)

FAISS_FILE = "index.faiss"
REMOVED_FILE = "removed.npy"


def index_root(atlas: Atlas) -> Path:
    """Where the versions of an atlas's index are."""
    return atlas.path / "index"


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes the manifest into the directory of its index."""
    write_json(directory / "manifest.json", _MANIFEST.dump_python(manifest, mode="json"))


def read_manifest(directory: Path) -> Manifest:
    """Reads the manifest of a version, and nothing else of it.

    Raises:
        DataError: it is missing, damaged or of another format.
    """
    file = directory / "manifest.json"
    try:
        value = read_json(file, "manifest of an index")
        if value["format"] != FORMAT:
            raise DataError(f"{directory} is not of index format {FORMAT}")
        manifest = _MANIFEST.validate_python(value)
        Factory(manifest.factory)
        return manifest
    except NotFoundError as error:
        raise DataError(str(error)) from None
    except (ValidationError, KeyError, TypeError):
        raise DataError(f"{file} is damaged") from None


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
    if not (index_root(atlas) / "current.json").exists():
        raise NotFoundError(
            f"atlas {atlas.name!r} has no index; make one with: voxkin index {atlas.path}"
        )
    try:
        return sound_manifest(atlas, serving_version(atlas))
    except DataError as error:
        again = f"build it again with: voxkin index {atlas.path} --rebuild"
        raise DataError(f"{error}; {again}") from None


def sound_manifest(atlas: Atlas, version: str) -> tuple[Manifest, Path]:
    """The manifest of any version, and its FAISS file after a check of its bytes.

    Slabs are looked at for their size only: whoever opens one, maybe elsewhere, checks its bytes.

    Raises:
        MismatchError: it was built from other embeddings.
        DataError: it is damaged or missing.
    """
    directory = index_root(atlas) / version
    manifest = read_manifest(directory)
    if manifest.atlas != atlas.info.fingerprint:
        raise MismatchError(
            f"the index was built from other embeddings (atlas {manifest.atlas}) than those of "
            f"{atlas.name!r} ({atlas.info.fingerprint}); build it again with: voxkin index "
            f"{atlas.path} --rebuild"
        )
    path = directory / FAISS_FILE
    for slab in manifest.slabs:
        check_size(directory / slab.file, slab.bytes)
    if not manifest.slabs:
        check_bytes(path, manifest.bytes, manifest.sha256)
    return manifest, path
