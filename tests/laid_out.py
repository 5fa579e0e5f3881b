"""Small maps of atlases without UMAP, which compiles for half a minute."""

from pathlib import Path

import numpy as np

import serve.clusters.project
from embed.atlas import Atlas
from serve.clusters.project import project
from serve.clusters.umap_worker import Layout
from tests.atlases import make_atlas

KINDS = 3


def three_kinds(shape=(8, 8, 8), dim=8):
    """Three slabs along x, each with a look of its own, and the rest of the grid void."""
    rng = np.random.default_rng(0)
    kinds = np.digitize(np.arange(shape[2]), [3, 6])
    vectors = 4 * np.eye(dim)[kinds][None, None] + 0.3 * rng.normal(size=(*shape, dim))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    vectors[6:] = 0
    return vectors, kinds


def by_kind(vectors, config, tell):
    """What lays out such vectors, in place of `lay_out`: each kind far from the others."""
    tell("laying out", 1, 1)
    kinds = vectors[:, :KINDS].argmax(axis=1)
    order = np.argsort(-np.bincount(kinds), kind="stable")
    xy = 10 * np.eye(KINDS)[kinds][:, :2] + vectors[:, KINDS : KINDS + 2]
    return Layout(xy.astype(np.float32), np.argsort(order)[kinds])


def make_mapped(path: Path, monkeypatch) -> Atlas:
    """An atlas of three kinds of places and its map, on which each kind is a cluster."""
    atlas = make_atlas(path, vectors=three_kinds()[0])
    monkeypatch.setattr(serve.clusters.project, "lay_out", by_kind)
    project(atlas, sample=250)
    return atlas
