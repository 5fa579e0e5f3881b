"""Where P-VNC takes its places: which sections, and which pixels of them."""

import numpy as np
from jaxtyping import Bool, Int, Shaped

from embed.geometry import Zyx

CLASSES = ("membrane", "glia or extracellular", "mitochondrion", "synapse", "intracellular")

_BORDER = 40  # pixels
_TRAIN = range(14)
_CHOOSE = range(14, 16)
_TEST = range(16, 20)
_NEVER_TESTED = 15  # fields of view of training end here, those of the test begin here


def split_sections(fov: Zyx, count: int) -> tuple[list[int], list[int], list[int]]:
    """Sections that may be trained on, chosen on and tested on.

    Every one has a neighbour on both sides, for the control that looks at three.
    """
    below = fov[0] // 2
    above = fov[0] - 1 - below
    fits = [z for z in range(1, count - 1) if z >= below and z + above < count]
    train = [z for z in fits if z in _TRAIN and z + above < _NEVER_TESTED]
    test = [z for z in fits if z in _TEST and z - below >= _NEVER_TESTED]
    return train, [z for z in fits if z in _CHOOSE], test


def unanimous(labels: Shaped[np.ndarray, "z y x"], fov: Zyx) -> Bool[np.ndarray, "z y x"]:
    """Where 3 x 3 pixels agree, a field of view fits, and the border is far."""
    from scipy import ndimage

    same = ndimage.minimum_filter(labels, (1, 3, 3)) == ndimage.maximum_filter(labels, (1, 3, 3))
    inside = np.zeros(labels.shape, bool)
    y, x = (max(_BORDER, -(-n // 2)) for n in fov[1:])
    inside[:, y : labels.shape[1] - y, x : labels.shape[2] - x] = True
    return same & inside & (labels > 0)


def points(
    labels: Shaped[np.ndarray, "z y x"],
    allowed: Bool[np.ndarray, "z y x"],
    sections: list[int],
    count: int,
    rng: np.random.Generator,
) -> Int[np.ndarray, "n 3"]:
    """Up to `count` voxels of every class in some sections."""
    found = []
    for value in range(1, len(CLASSES) + 1):
        voxels = np.argwhere(allowed[sections] & (labels[sections] == value))
        voxels = rng.permutation(voxels)[:count]
        voxels[:, 0] = np.asarray(sections)[voxels[:, 0]]
        found.append(voxels)
    return np.concatenate(found)
