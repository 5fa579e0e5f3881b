"""What the fixed protocols have in common: places, controls, and scores of a feature set."""

import abc
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from embed.errors import MismatchError, NotFoundError
from embed.evaluation.features import Features
from embed.evaluation.places import Places
from embed.geometry import Zyx
from embed.volume import Volume, open_volume

# One value per seed.
Scores = dict[str, list[float]]
TrainedOn = Sequence[dict[str, Any]]


@dataclasses.dataclass(frozen=True, eq=False)
class Protocol(abc.ABC):
    """A protocol made ready for one field of view.

    Attributes:
        volume: what the places lie in.
        grey: its voxels.
        places: every place that is scored, trained on or retrieved.
        split: how the places are split, in words and numbers a report can state.
        counts: how many places, pairs or queries there are.
        random_networks: random-initialised encoders to average over; fewer where places are many.
    """

    volume: Volume
    grey: Shaped[np.ndarray, "z y x"]
    places: Places
    split: dict[str, Any]
    counts: dict[str, int]
    random_networks: int = dataclasses.field(default=5, kw_only=True)

    @property
    def segments(self) -> Shaped[np.ndarray, "z y x"] | None:
        """The segment that each voxel belongs to, 0 for none; None where it is not known."""
        return None

    @property
    @abc.abstractmethod
    def chance(self) -> dict[str, float]:
        """What guessing would score."""

    @abc.abstractmethod
    def controls(self) -> dict[str, Features]:
        """The controls that need no encoder, by name, in the order of a report."""

    @abc.abstractmethod
    def score(self, features: Features, seeds: Sequence[int]) -> Scores:
        """Scores a feature set, one row per place, once per seed."""


def open_data(data: Path, name: str) -> Volume:
    """Opens a volume of the folder of evaluation data.

    Raises:
        NotFoundError: it is not there.
    """
    path = data / f"{name}.zarr"
    if not path.is_dir():
        raise NotFoundError(
            f"no volume {path}; the protocol needs {name}.zarr in the folder given by --data"
        )
    return open_volume(path)


def labels_of(data: Path, name: str, volume: Volume) -> Shaped[np.ndarray, "z y x"]:
    """The voxels of a label volume that belongs to `volume`.

    Raises:
        NotFoundError: it is not there.
        MismatchError: it has another shape.
    """
    labels = open_data(data, name)
    if labels.box != volume.box:
        raise MismatchError(
            f"{labels.name} covers {labels.box} and {volume.name} {volume.box} (voxels, ZYX); "
            "labels need the box of their volume"
        )
    return labels.read(labels.box)


def names_volume(entry: dict[str, Any], name: str) -> bool:
    """Whether an entry of `TrainedEncoder.trained_on` is a volume or a crop of it."""
    return Path(entry["name"]).stem == name or crop_of(entry).get("name") == name


def crop_of(entry: dict[str, Any]) -> dict[str, Any]:
    """What a training volume says it was cut from: `name` and `box_zyx`; empty if nothing."""
    return entry.get("attributes", {}).get("crop_of", {})


def per_axis(fov: Zyx) -> str:
    """A field of view for a message."""
    return " x ".join(map(str, fov)) + " voxels (ZYX)"
