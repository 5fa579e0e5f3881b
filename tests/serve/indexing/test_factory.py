"""Tests of serve/indexing/factory.py."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from embed.errors import ConfigError
from serve.indexing.factory import Factory
from serve.indexing.faiss_files import write_index
from serve.indexing.training import train


@pytest.mark.parametrize(
    "text",
    ["Flat", "IVF16,Flat", "IVF16,SQ8", "IVF16,SQfp16", "PCAR16,IVF8,PQ16x4fsr", "IVF8,PQ32x4fs"],
)
def test_the_size_is_foreseen(text, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(1500, 64)).astype(np.float32)
    factory = Factory(text)
    with threadpool_limits(1):  # several would wait for each other longer than they compute
        index = train(factory, vectors, 0)
    index.add_with_ids(vectors, np.arange(len(vectors)))

    size, _ = write_index(index, tmp_path / "index.faiss")

    learnt = 64 * 64 * 4 + 16 * 64 * 4 + 2000  # the same however many locations there are
    assert factory.size_bytes(len(vectors), 64) == pytest.approx(size, rel=0.05, abs=learnt)


@pytest.mark.parametrize(
    ("text", "lists", "code", "whole"),
    [
        ("Flat", 1, 256, True),
        ("IVF1024,Flat", 1024, 256, True),
        ("PCAR32,IVF65536_HNSW32,PQ32x4fs", 65_536, 16, False),
        ("OPQ16_32,IVF8,PQ16", 8, 16, False),
        ("PCA8,IVF8,Flat", 8, 32, False),
        ("IVF8,SQ4", 8, 32, False),
    ],
)
def test_lists_and_codes_are_read_from_the_string(text, lists, code, whole):
    factory = Factory(text)

    assert (factory.lists, factory.code_bytes(64), factory.holds_vectors) == (lists, code, whole)


@pytest.mark.parametrize("text", ["", "HNSW32", "flat", "IVF,Flat", "IVF16,Flat;rm", "PQ8"])
def test_other_families_are_refused(text):
    with pytest.raises(ConfigError, match="it takes Flat, or"):
        Factory(text)
