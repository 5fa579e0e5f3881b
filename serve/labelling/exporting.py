"""The labels of a store as a file, with the segments that they lie in where these are known."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt64

from embed.atlas import Atlas
from embed.errors import ConflictError
from embed.geometry import XyzFloat
from embed.volume import Volume
from serve.labelling.classes import with_more
from serve.labelling.formats import Format, written
from serve.labelling.label import Label, Place
from serve.labelling.store import LabelStore


def export_labels(
    atlas: Atlas,
    set_name: str,
    format: Format,
    *,
    resolution_nm: XyzFloat | None = None,
    segmentation: Volume | None = None,
) -> bytes | Iterable[tuple[str, bytes]]:
    """A file of the labels of a class set, or the files of a folder of annotations; see `written`.

    Args:
        atlas: that is labelled.
        set_name: of the class set, which a CAVE table has as its classification system.
        format: to write.
        resolution_nm: edge lengths of the voxels in which a CAVE table has its positions; nm where
            it is not given.
        segmentation: tells the segment at each position, where neither the label's source nor the
            place of an atlas of given places does.

    Raises:
        RequestError: the name is none.
        NotFoundError: there is no such set.
        ConflictError: it has no labels.
        DataError: the segmentation cannot be read.
    """
    store = LabelStore.open(atlas)
    labels = store.labels(set_name)
    if not labels:
        raise ConflictError(
            f"set {set_name!r} has no labels yet, so that there is nothing to write"
        )
    segments = _segments(atlas, labels, segmentation)
    places = [
        Place(label.position_nm_xyz, label.label, label.author, label.time, segment)
        for label, segment in zip(labels, segments.tolist(), strict=True)
    ]
    shown = next(known.classes for known in store.sets() if known.name == set_name)
    classes = with_more(shown, (label.label for label in labels))
    return written(places, format, classes=classes, system=set_name, resolution_nm=resolution_nm)


def _segments(
    atlas: Atlas, labels: Sequence[Label], segmentation: Volume | None
) -> UInt64[np.ndarray, " n"]:
    known = atlas.known_of(np.array([label.location for label in labels]))
    said = [
        label.segment or (segment or 0) for label, (segment, _) in zip(labels, known, strict=True)
    ]
    segments = np.array(said, np.uint64)
    if segmentation is None:
        return segments
    positions = np.array([label.position_nm_xyz for label in labels])
    voxels = np.floor(segmentation.frame.to_voxel(positions)).astype(np.int64)
    box = segmentation.box
    asked = (segments == 0) & ((voxels >= box.start) & (voxels < box.stop)).all(axis=1)
    segments[asked] = segmentation.read_at(voxels[asked]).astype(np.uint64)
    return segments
