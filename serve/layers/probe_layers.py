"""Layers of a probe: how probable a class is at each location, and which is the likeliest."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Float32, UInt8, UInt16

from embed.atlas import Atlas
from embed.probe import Probe
from embed.probing.linear import probabilities_of
from serve.labelling.classes import PALETTE
from serve.layers.layer import Segment
from serve.layers.map_layer import MapLayer
from serve.maps import FULL


def class_segments(
    names: tuple[str, ...], colours: Mapping[str, str] = MappingProxyType({})
) -> tuple[Segment, ...]:
    """Classes as segments, counted from 1.

    Args:
        names: of the classes.
        colours: `#rrggbb` of some classes; others get one.
    """
    return tuple(
        Segment(number, name, colours.get(name, PALETTE[(number - 1) % len(PALETTE)]))
        for number, name in enumerate(names, 1)
    )


def probability_layer(atlas: Atlas, probe: Probe, number: int, version: str) -> MapLayer:
    """The probability of a class, 255 for 1.

    Args:
        number: of the class.
        version: of the probe.
    """

    probabilities = _quick(probe)

    def compute(vectors: Float32[np.ndarray, "n dim"]) -> UInt8[np.ndarray, " n"]:
        return np.rint(FULL * probabilities(vectors)[:, number]).astype(np.uint8)

    return MapLayer(atlas, compute, dtype=np.uint8, version=f"{version} {number}")


def likeliest_layer(
    atlas: Atlas, probe: Probe, version: str, segments: tuple[Segment, ...]
) -> MapLayer:
    """The likeliest class, counted from 1.

    Args:
        version: of the probe.
        segments: its classes.
    """

    probabilities = _quick(probe)

    def compute(vectors: Float32[np.ndarray, "n dim"]) -> UInt16[np.ndarray, " n"]:
        return (1 + probabilities(vectors).argmax(axis=1)).astype(np.uint16)

    return MapLayer(atlas, compute, dtype=np.uint16, version=version, segments=segments)


def _quick(
    probe: Probe,
) -> Callable[[Float32[np.ndarray, "n dim"]], Float[np.ndarray, "n classes"]]:
    """What `Probe.probabilities` gives, to a hundred thousandth, at a fraction of its cost.

    What it does to a vector before and after its weights goes into them, and numbers are float32.
    """
    slopes = probe.slopes[:, None] * probe.weights / probe.scale
    offsets = probe.slopes * probe.bias - slopes @ probe.mean + probe.shifts
    weights, added = slopes.T.astype(np.float32), offsets.astype(np.float32)
    return lambda vectors: probabilities_of(probe.kind, vectors @ weights + added)
