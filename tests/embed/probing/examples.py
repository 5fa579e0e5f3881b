"""Labelled vectors of overlapping classes, and what is in a volume."""

import numpy as np


def draw(counts, dim=12, spread=0.8, seed=0, centres_seed=7):
    """Unit vectors around one direction per class, and the number of the class of each."""
    centres = np.random.default_rng(centres_seed).normal(size=(len(counts), dim))
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(len(counts)), counts)
    vectors = centres[numbers] + spread * rng.normal(size=(len(numbers), dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), numbers


def named(numbers):
    """The classes as text."""
    return [f"class {n}" for n in numbers]
