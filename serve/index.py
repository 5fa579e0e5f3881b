"""The FAISS index of an atlas: built once, never changed, replaced whole.

Ids are grid ids, so no table maps them to locations; locations without data are not in an index.
`Flat` is built as a single inverted list that is always read: the same comparison with everything,
but, unlike FAISS's own flat index, it takes ids of our choice. Whole vectors are compared by inner
product. Codes are compared by Euclidean distance, which for unit vectors orders alike and which,
unlike the inner product, does not change when the principal components are centred.
"""

import hashlib
import os
import re
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, UInt8

from embed.atlas import Atlas
from embed.errors import ConfigError, DataError, MismatchError, NotFoundError
from serve.advice import Advice, advise, variance_in_32
from serve.locations import Locations, Progress, count_locations, sample_locations, shard_locations
from serve.manifest import (
    Manifest,
    current_manifest,
    holds_vectors,
    index_root,
    next_version,
    put_in_service,
    write_manifest,
)
from serve.recall import NEAREST, ExactNeighbours, sweep_nprobe
from serve.swap import replacing

__all__ = ["Index", "Manifest", "advise", "build_index", "open_index"]

QUERIES = 100
"""Locations held out of training to measure recall on: it is then known to about 0.005."""

RERANKED = 100
"""Candidates that stand for ten hits where the index holds codes, which misorder the nearest."""

TRAINING_PER_LIST = 64
"""Training locations per list; FAISS asks for 39 at least and uses 256 at most."""

_FACTORY = re.compile(r"Flat|((PCAR?|OPQ|RR)[\d_]+,)?IVF(\d+)(_HNSW\d+)?,(Flat|SQ|PQ)\w*")


class Index:
    """An opened index. Safe to search from many threads; it never changes."""

    def __init__(self, searched: Any, manifest: Manifest):
        self._searched = searched
        self.manifest = manifest

    @property
    def size(self) -> int:
        """Number of locations in it."""
        return self.manifest.count

    def search(
        self,
        vectors: Float32[np.ndarray, "n dim"],
        k: int,
        nprobe: int | None = None,
        allowed: UInt8[np.ndarray, " bytes"] | None = None,
    ) -> tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
        """The locations most like each vector, best first.

        Args:
            vectors: unit length.
            k: how many; at least 1.
            nprobe: lists to read; the manifest's where it is not said.
            allowed: a bit for each id, as `serve.selection.Selection` holds it: only locations
                whose bit is set are found; all where it is None.

        Returns:
            Cosine similarities (estimates where the index holds codes) and int64 ids; -inf and -1
            where the lists that were read hold fewer than k locations.

        Raises:
            MismatchError: the vectors are not as long as those of the index.
        """
        if vectors.shape[1] != self.manifest.dim:
            raise MismatchError(
                f"the index holds {self.manifest.dim}-dimensional embeddings; the query has "
                f"{vectors.shape[1]} numbers"
            )
        return _search(self._searched, vectors, k, nprobe or self.manifest.nprobe, allowed)


def open_index(atlas: Atlas) -> Index:
    """Opens the index of an atlas, after checking that it is whole.

    Raises:
        NotFoundError: there is none.
        MismatchError: it was built from other embeddings.
        DataError: it is damaged.
    """
    import faiss

    manifest, path = current_manifest(atlas)
    # Read into memory, not mapped: codes would be copied anyway, and search crashes in a mapped
    # index whose lists were mapped when it was written.
    return Index(faiss.read_index(str(path)), manifest)


def build_index(
    atlas: Atlas,
    *,
    factory: str | None = None,
    seed: int = 0,
    rebuild: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Builds the index of a finished atlas; the old one serves until the new one is whole.

    Memory holds one shard, the training sample and the index itself. Where a sound index of this
    atlas (and of this factory, where one is given) is there already, nothing is done.

    Args:
        atlas: must be complete.
        factory: "Flat" or a FAISS factory string of the IVF family; advised where it is None.
        seed: of the training sample and of k-means.
        rebuild: build even though a sound index is there.
        progress: called with the locations that were added and all there are.

    Raises:
        IncompleteError: the atlas is unfinished, or another process is building its index.
        ConfigError: the factory does not work here, or asks for more lists than locations.
        DataError: an embedding cannot be read, or no location has data.
        StorageError: the disk refuses; the old index serves on.
    """
    atlas.require_complete()
    if factory is not None and not _FACTORY.fullmatch(factory):
        raise ConfigError(
            f"cannot build {factory!r}: it takes Flat, or [PCARn,|OPQn,|RRn,]IVFn,(Flat|SQ…|PQ…) "
            "as in 'IVF1024,Flat' or 'PCAR32,IVF65536,PQ32x4fs'"
        )
    found = None if rebuild else _sound(atlas, factory)
    if found is not None:
        return found
    name = next_version(atlas)
    with replacing(index_root(atlas) / name) as directory:
        manifest = _build(atlas, name, directory, factory, seed, progress or (lambda *_: None))
        write_manifest(directory, manifest)
    put_in_service(atlas, name)
    return manifest


def _sound(atlas: Atlas, factory: str | None) -> Manifest | None:
    try:
        manifest, _ = current_manifest(atlas)
    except (NotFoundError, MismatchError, DataError):
        return None
    whole = manifest.count == count_locations(atlas)  # not since it was extended
    return manifest if whole and factory in (None, manifest.factory) else None


def _build(
    atlas: Atlas, name: str, directory: Path, factory: str | None, seed: int, progress: Progress
) -> Manifest:
    begun = time.monotonic()
    advice, training, queries = _plan(atlas, factory, seed)
    searched, lists = _train(advice.factory, training, seed)
    truth = ExactNeighbours(queries)
    _fill(searched, atlas, truth, progress)
    candidates = NEAREST if holds_vectors(advice.factory) else RERANKED
    sweep = sweep_nprobe(
        atlas, truth, lambda q, k, nprobe: _search(searched, q, k, nprobe)[1], lists, candidates
    )
    size, sha256 = _write(searched, directory / "index.faiss")
    return Manifest(
        version=name,
        atlas=atlas.info.fingerprint,
        factory=advice.factory,
        reason=advice.reason,
        dim=atlas.info.embedding_dim,
        count=searched.ntotal,
        voids=atlas.planned - searched.ntotal,
        lists=lists,
        nprobe=sweep[-1].nprobe,
        training=len(training),
        candidates=candidates,
        queries=len(queries.ids),
        recall=sweep[-1].recall,
        sweep=sweep,
        seed=seed,
        bytes=size,
        sha256=sha256,
        versions={name: version(name) for name in ("faiss-cpu", "numpy")},
        seconds=round(time.monotonic() - begun, 3),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _plan(
    atlas: Atlas, factory: str | None, seed: int
) -> tuple[Advice, Float32[np.ndarray, "n dim"], Locations]:
    """What to build, the vectors to train it on, and other locations to measure it with."""
    count, dim = count_locations(atlas), atlas.info.embedding_dim
    advice = Advice(factory, 1, "asked for") if factory else advise(count, dim)
    lists = _lists(advice.factory)
    if lists > max(count, 1):
        raise ConfigError(
            f"{advice.factory!r} sorts locations into {lists} lists; atlas {atlas.name!r} has "
            f"{count} locations with data, so at most IVF{max(count // 39, 1)} makes sense"
        )
    sample = sample_locations(atlas, TRAINING_PER_LIST * lists + QUERIES, seed)
    order = np.random.default_rng(seed).permutation(len(sample.ids))
    held = min(QUERIES, max(1, len(order) // 10))
    queries = Locations(sample.ids[order[:held]], sample.vectors[order[:held]])
    # Never fewer than the lists, and in a tiny atlas that leaves nothing to hold out.
    training = sample.vectors[order[held:] if len(order) - held >= lists else order]
    if factory is None and "PQ" in advice.factory:
        advice = advise(count, dim, variance_in_32(training))
    return advice, training, queries


def _lists(factory: str) -> int:
    match = _FACTORY.fullmatch(factory)
    return int((match and match[3]) or 1)


def _train(factory: str, training: Float32[np.ndarray, "n dim"], seed: int) -> tuple[Any, int]:
    import faiss

    metric = faiss.METRIC_INNER_PRODUCT if holds_vectors(factory) else faiss.METRIC_L2
    spelled = "IVF1,Flat" if factory == "Flat" else factory
    try:
        searched = faiss.index_factory(training.shape[1], spelled, metric)
        inverted = faiss.extract_index_ivf(searched)
        inverted.cp.seed = 1 + seed
        inverted.cp.min_points_per_centroid = 1  # the count is checked; faiss prints to stderr
        searched.train(training)
    except RuntimeError as error:
        reason = str(error).rpartition("Error: ")[2]
        raise ConfigError(f"FAISS refuses {factory!r} for this atlas: {reason}") from error
    return searched, int(inverted.nlist)


def _fill(searched: Any, atlas: Atlas, truth: ExactNeighbours, progress: Progress) -> None:
    done = 0
    for box, locations in shard_locations(atlas):
        if locations.ids.size:
            searched.add_with_ids(locations.vectors, locations.ids)
            truth.update(locations)
        done += box.size
        progress(done, atlas.planned)


def _search(
    searched: Any,
    vectors: Float32[np.ndarray, "n dim"],
    k: int,
    nprobe: int,
    allowed: UInt8[np.ndarray, " bytes"] | None = None,
) -> tuple[Float32[np.ndarray, "n k"], Int[np.ndarray, "n k"]]:
    import faiss

    untyped: Any = faiss  # its stubs do not know that settings take keywords
    # Settings travel with the call, never in the index, so that calls do not disturb each other.
    # FAISS does not read past the end of the bits: an id beyond it is not allowed.
    selector = {} if allowed is None else {"sel": untyped.IDSelectorBitmap(allowed)}
    settings = untyped.SearchParametersIVF(nprobe=nprobe, **selector)
    if isinstance(searched, faiss.IndexPreTransform):
        settings = untyped.SearchParametersPreTransform(index_params=settings)
    found, ids = searched.search(np.ascontiguousarray(vectors, np.float32), k, params=settings)
    # Between unit vectors the squared distance is 2 - 2 cos.
    cosines = 1 - found / 2 if searched.metric_type == faiss.METRIC_L2 else found
    return np.where(ids < 0, -np.inf, cosines).astype(np.float32), ids


def _write(searched: Any, path: Path) -> tuple[int, str]:
    """Writes the index through Python, whose errors say when the disk is full; FAISS's may not."""
    import faiss

    untyped: Any = faiss  # its stubs do not know the writer
    sha = hashlib.sha256()
    with path.open("wb") as file:

        def write(block: bytes) -> int:
            sha.update(block)
            return file.write(block)

        untyped.write_index(searched, untyped.PyCallbackIOWriter(write))
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    return size, sha.hexdigest()
