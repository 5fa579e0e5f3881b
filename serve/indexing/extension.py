"""Adding locations to an index: which version it grows from, and what of the atlas is new to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from embed.atlas import Atlas
from embed.errors import DataError, NotFoundError
from embed.geometry import Box
from embed.storage import read_json, write_json
from serve.indexing.faiss_files import check_bytes, ids_in, read_index
from serve.indexing.truth import ExactNeighbours
from serve.indexing.workspace import TRAINED_FILE, TRUTH_FILE, Workspace
from serve.locations import Locations
from serve.manifest import FAISS_FILE, Manifest, index_root

GROWN = 2.0
"""Times as many locations as an index was trained for, past which it is trained anew: its lists are
then twice as long as they should be, and what was added may look like nothing it has seen."""

SHARDS_FILE = "shards.json"


class Base:
    """A sound version that another one grows from; its trained quantiser stays.

    Attributes:
        manifest: of the version.
        changed: the shards that hold other locations now than they did then.
    """

    def __init__(self, atlas: Atlas, manifest: Manifest) -> None:
        """Finds out what has changed since.

        Raises:
            DataError: a part of the version is damaged or missing.
        """
        self.manifest = manifest
        self._directory = index_root(atlas) / manifest.version
        check_bytes(self._directory / TRAINED_FILE, manifest.trained_bytes, manifest.trained_sha256)
        self._truth = ExactNeighbours.load(atlas, self._directory / TRUTH_FILE)
        self.changed = _changed(atlas, self._directory)

    def begin(self, space: Workspace) -> dict[str, Any]:
        """Puts the trained quantiser and the truth so far where a build looks for them.

        Returns:
            What is said of it.
        """
        kept = ("factory", "reason", "training", "trained_at", "seed")
        said = {name: getattr(self.manifest, name) for name in kept}
        return space.keep_trained(read_index(self._directory / TRAINED_FILE), self._truth, said)

    def index(self) -> Any:
        """The index as it was, to be added to."""
        return read_index(self._directory / FAISS_FILE)


def why_not_extended(manifest: Manifest, locations: int) -> str:
    """Why an index is not added to though the atlas has other locations; empty where it can be."""
    if locations < manifest.locations:
        return f"the atlas has {locations:,} locations and had {manifest.locations:,}"
    if manifest.every > 1:
        return "one of every second location is built anew, which is soon done"
    if locations > GROWN * manifest.trained_at:
        return (
            f"the atlas has grown from {manifest.trained_at:,} locations, which the index was "
            f"trained for, to {locations:,}, more than {GROWN:g} times as many"
        )
    return ""


def keep_shards(atlas: Atlas, directory: Path) -> None:
    """Notes down which shards an index was filled from."""
    write_json(directory / SHARDS_FILE, _marks(atlas))


def not_among(index: Any, size: int) -> Callable[[Locations], Bool[np.ndarray, " n"]]:
    """Tells which locations are not in an index, of ids below `size`.

    It takes a bit for each id.
    """
    import faiss

    held = np.zeros(-(-size // 8), np.uint8)
    for number in range(faiss.extract_index_ivf(index).nlist):
        ids = ids_in(index, number)
        np.bitwise_or.at(held, ids >> 3, np.left_shift(1, ids & 7).astype(np.uint8))
    return lambda places: (held[places.ids >> 3] >> (places.ids & 7)) & 1 == 0


def _changed(atlas: Atlas, directory: Path) -> tuple[Box, ...]:
    try:
        then = read_json(directory / SHARDS_FILE, "list of the shards of an index")
    except NotFoundError as error:
        raise DataError(str(error)) from None
    now = _marks(atlas)
    names = {box: _name(atlas, box) for box in atlas.shards}
    return tuple(box for box, name in names.items() if then.get(name) != now.get(name))


def _marks(atlas: Atlas) -> dict[str, str]:
    marks = atlas.ledger.marks()
    found = ((box, marks.get(atlas.shard_index(box))) for box in atlas.shards)
    return {_name(atlas, box): mark.digest for box, mark in found if mark}


def _name(atlas: Atlas, box: Box) -> str:
    return ".".join(map(str, atlas.shard_index(box)))
