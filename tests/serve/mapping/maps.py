"""Maps that say what a test wants them to, as `serve.searching.class_maps` reads them."""

import numpy as np

from embed.geometry import Box


class FixedMap:
    """A map of given probabilities [z, y, x, class]; 0 for all classes is no data."""

    rounding = 0.0

    def __init__(self, probabilities: np.ndarray, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._values = probabilities.astype(np.float32)

    def of(self, ids: np.ndarray) -> np.ndarray:
        return self._values.reshape(-1, len(self.classes))[ids]

    def of_cells(self, cells: Box) -> np.ndarray:
        return self._values[cells.slices]


def likely(classes: np.ndarray, count: int) -> np.ndarray:
    """Probabilities at which a class, counted from 1, is the likeliest; 0 is no data."""
    return np.where(classes[..., None] > 0, 0.1 + 0.6 * np.eye(count + 1)[classes][..., 1:], 0)
