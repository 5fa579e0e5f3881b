"""What people call the clusters of a map: `names.json` beside it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int

from embed.errors import DataError, NotFoundError
from embed.storage import read_json, write_json
from serve.labelling.classes import plain_text

FILE = "names.json"


def default_name(number: int) -> str:
    """What a cluster is called before somebody has named it."""
    return f"cluster {number}" if number >= 0 else "none"


def checked_cluster_name(text: str) -> str:
    """A name without what surrounds it; empty where the cluster is to have its number again.

    Raises:
        RequestError: it is too long, or no plain text; see `plain_text`.
    """
    name = text.strip()
    return plain_text(name, "the name of a cluster") if name else ""


def read_names(directory: Path) -> dict[int, str]:
    """The names that people gave, by the number of the cluster.

    Raises:
        DataError: they are damaged.
    """
    path = directory / FILE
    try:
        stored = read_json(path, "names of clusters")
        return {int(number): str(name) for number, name in stored.items()}
    except NotFoundError:
        return {}
    except (AttributeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); remove it and name them again") from None


def write_names(directory: Path, names: Mapping[int, str]) -> None:
    """Keeps names.

    Raises:
        StorageError: the disk refuses; the names that were there stay.
    """
    write_json(directory / FILE, {str(number): names[number] for number in sorted(names)})


def carried_over(
    names: Mapping[int, str], before: Int[np.ndarray, " n"], after: Int[np.ndarray, " n"]
) -> dict[int, str]:
    """The names of old clusters for new ones that are the same in the main.

    Those are where more than half of what the new one holds was in the old one, and the reverse.

    Args:
        names: by the number of the old cluster.
        before: the old cluster of some places.
        after: the new cluster of the same.
    """
    carried = {}
    for old, name in names.items():
        was = before == old
        numbers, counts = np.unique(after[was & (after >= 0)], return_counts=True)
        if not len(numbers):
            continue
        new, common = int(numbers[counts.argmax()]), int(counts.max())
        if 2 * common > was.sum() and 2 * common > (after == new).sum():
            carried[new] = name
    return carried
