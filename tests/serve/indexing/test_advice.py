"""Tests of serve/indexing/advice.py."""

import numpy as np
import pytest

from embed.errors import ConfigError
from serve.indexing.advice import Spectrum, advise, require_fit, usual_memory

MEMORY = 64 * 10**9


def _spectrum(dim, share_of_16=0.95):
    shares = np.full(dim, (1 - share_of_16) / max(dim - 16, 1))
    shares[:16] = share_of_16 / min(dim, 16)
    return Spectrum(shares)


@pytest.mark.parametrize(
    ("count", "dim", "share", "factory"),
    [
        (1000, 64, 0.95, "Flat"),
        (49_999, 64, 0.95, "Flat"),
        (50_000, 64, 0.95, "IVF1024,Flat"),
        (1_000_000, 64, 0.95, "PCAR16,IVF1024,PQ16x4fsr"),
        (1_000_000, 64, 0.88, "PCAR24,IVF1024,PQ24x4fsr"),
        (1_000_000, 64, 0.40, "IVF1024,PQ64x4fsr"),
        (10_000_000, 64, 0.95, "PCAR16,IVF4096,PQ16x4fsr"),
        (4_000_000_000, 128, 0.10, "IVF65536_HNSW32,PQ64x4fsr"),
        (1_000_000, 16, 0.95, "IVF1024,PQ16x4fsr"),
        (1_000_000, 12, 0.95, "IVF1024,PQ12x4fsr"),
    ],
)
def test_the_advised_index_follows_from_count_length_and_spectrum(count, dim, share, factory):
    advice = advise(count, dim, _spectrum(dim, share), 10**12)

    assert advice.factory == factory
    assert f"{count:,}" in advice.reason


def test_it_explains_itself_with_the_arithmetic_and_what_would_take_more_or_less():
    advice = advise(1_000_000, 64, _spectrum(64, 0.85), MEMORY)

    assert "hold 91" not in advice.reason or "24" in advice.reason
    assert "bytes of code + 8 of id" in advice.reason
    assert advice.larger.bytes > advice.chosen.bytes > advice.smaller.bytes
    assert advice.chosen.bytes == pytest.approx(advice.chosen.bytes_per_vector * 1e6, rel=1e-6)


def test_the_default_of_a_million_takes_at_most_18_bytes_a_location():
    assert advise(1_000_000, 64, _spectrum(64), MEMORY).chosen.bytes_per_vector < 18


def test_too_little_memory_brings_codes_and_then_a_refusal_that_says_what_would_do():
    enough = advise(100_000, 64, _spectrum(64), MEMORY)
    codes = advise(100_000, 64, _spectrum(64), 10**7)
    nothing = advise(100_000, 64, _spectrum(64), 10**6)

    require_fit(enough)
    require_fit(codes)
    assert (enough.factory, codes.factory) == ("IVF1024,Flat", "IVF256,PQ64x4fsr")
    with pytest.raises(ConfigError, match=r"take at least 1\.\d MB .*1\.0 MB they may.*--every 2"):
        require_fit(nothing)


def test_the_spectrum_is_that_of_the_covariance():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5000, 8)).astype(np.float32) * [4, 2, 1, 1, 0, 0, 0, 0]

    spectrum = Spectrum.of(vectors.astype(np.float32))

    assert spectrum.held(1) == pytest.approx(16 / 22, abs=0.03)
    assert spectrum.held(4) == pytest.approx(1)


@pytest.mark.parametrize("vectors", [np.ones((1, 8)), np.ones((9, 8))])
def test_a_spectrum_without_variance_is_none_that_fails(vectors):
    assert 0 <= Spectrum.of(vectors.astype(np.float32)).held(4) <= 1


def test_the_usual_memory_is_some_of_this_machines():
    assert 10**8 < usual_memory() < 10**14
