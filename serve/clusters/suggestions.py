"""What clusters might be called: the class that most of a cluster belongs to, where it is known."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from embed.probe import Probe

# Of the labels in a cluster: fewer say little about it.
_FEWEST_LABELS = 5


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """A class that more than half of a cluster belongs to.

    Attributes:
        label: the class.
        share: of the cluster, or of the labels in it.
        source: who says so: a probe or a set of labels.
    """

    label: str
    share: float
    source: str

    @property
    def text(self) -> str:
        """As in "mitochondrion (83 %)"."""
        return f"{self.label} ({self.share:.0%})".replace("%", " %")


def by_probe(
    probe: Probe, vectors: Float32[np.ndarray, "n dim"], clusters: Int[np.ndarray, " n"]
) -> dict[int, Suggestion]:
    """What a probe says of clusters: which class is more probable than not at most of their points.

    Args:
        probe: of the encoder that made the vectors.
        vectors: of the points of a map, unit length.
        clusters: of them, -1 for none.
    """
    probable = probe.probabilities(vectors) > 0.5
    found = {}
    for number in range(int(clusters.max(initial=-1)) + 1):
        shares = probable[clusters == number].mean(axis=0)
        best = int(shares.argmax())
        if shares[best] > 0.5:
            source = f"probe {probe.name}"
            found[number] = Suggestion(probe.classes[best], float(shares[best]), source)
    return found


def by_labels(
    name: str, labels: Sequence[str], clusters: Int[np.ndarray, " n"]
) -> dict[int, Suggestion]:
    """What labels say of clusters, which they need five of.

    Args:
        name: of the set of labels.
        labels: what is at some places.
        clusters: of these places, -1 for none.
    """
    classes, numbers = np.unique(np.array(labels, object).astype(str), return_inverse=True)
    found = {}
    for number in set(clusters[clusters >= 0].tolist()):
        counts = np.bincount(numbers[clusters == number], minlength=len(classes))
        best, total = int(counts.argmax()), int(counts.sum())
        if total >= _FEWEST_LABELS and 2 * counts[best] > total:
            share = float(counts[best] / total)
            found[number] = Suggestion(str(classes[best]), share, f"labels {name}")
    return found


def surest(several: Sequence[dict[int, Suggestion]]) -> dict[int, Suggestion]:
    """Of several suggestions for a cluster the one with the largest share, or the first such."""
    found: dict[int, Suggestion] = {}
    for suggestions in several:
        for number, suggestion in suggestions.items():
            if number not in found or suggestion.share > found[number].share:
                found[number] = suggestion
    return found
