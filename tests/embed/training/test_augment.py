"""Tests of embed/training/augment.py: grey values change as the settings say, and stay sane."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import convolve1d

from embed.errors import ConfigError
from embed.training.artefacts import Centres
from embed.training.augment import _DRAWS, _RULES, AugmentConfig, change_grey

STRENGTHS = {
    "contrast": 0.3,
    "brightness": 0.5,
    "curve": 0.9,
    "blur": 0.5,
    "noise": 0.5,
    "section_jitter": 0.5,
    "section_contrast": 0.3,
    "shot_noise": 0.5,
    "missing": 0.4,
    "duplicated": 0.4,
    "misaligned": 0.8,
    "elastic": 1.0,
    "cut_out": 0.8,
}
OFF = dataclasses.replace(AugmentConfig(), **dict.fromkeys(STRENGTHS, 0.0))
# Settings that fit blocks of a few voxels.
SMALL = {"misaligned_by": 2, "elastic_spacing": 4, "cut_out_edge": 0.6, "cut_out_keep": 1}
FULL = dataclasses.replace(OFF, **STRENGTHS, **SMALL)
SHAPE = (6, 8, 10)
KEYS = jax.random.split(jax.random.key(0), 32)


def only(**strengths):
    return dataclasses.replace(OFF, **SMALL, **strengths)


@functools.cache
def changed(config, centres=None):
    return jax.jit(jax.vmap(lambda key, block: change_grey(key, block, config, centres)))


def views(config, grey):
    """One block changed with each of KEYS."""
    return np.asarray(changed(config)(KEYS, jnp.stack([jnp.asarray(grey)] * len(KEYS))))


@functools.cache
def block(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_without_strengths_nothing_is_computed():
    traced = jax.make_jaxpr(lambda key, grey: change_grey(key, grey, OFF))(KEYS[0], block())

    assert traced.jaxpr.outvars == traced.jaxpr.invars[1:]


@pytest.mark.parametrize("name", STRENGTHS)
def test_every_strength_does_something_alone_and_keeps_values_sane(name):
    config = only(**{name: STRENGTHS[name]})

    found = views(config, block())
    flat = views(config, np.full(SHAPE, 0.7, np.float32))

    assert found.shape == (len(KEYS), *SHAPE)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.isfinite(flat).all()
    assert (found != block()).any(axis=(1, 2, 3)).mean() > 0.3
    assert len({view.tobytes() for view in found}) >= 2
    np.testing.assert_array_equal(found, views(config, block()))


def test_a_change_is_a_function_of_its_key_alone():
    grey, alone = block(), jax.jit(lambda key, grey: change_grey(key, grey, FULL))

    many = views(FULL, grey)

    for i in (0, 5):
        np.testing.assert_allclose(alone(KEYS[i], grey), many[i], atol=1e-5)
    assert not np.allclose(many[0], many[5], atol=1e-2)


def test_switching_one_change_on_leaves_the_others_as_they_were():
    grey = block()
    clean = views(only(contrast=0.3, noise=0.3, cut_out=0.8), grey)

    found = views(only(contrast=0.3, noise=0.3, cut_out=0.8, missing=0.2), grey)

    lost = (found == found[:, :, :1, :1]).all(axis=(2, 3))
    assert 0 < lost.mean() < 0.5
    # Sections that were kept are those of before, but where a box holds the mean of others.
    same = np.isclose(found, clean, atol=1e-5).all(axis=(2, 3))
    assert (same | lost).mean() > 0.8


def test_no_value_leaves_what_the_strengths_allow():
    extreme = np.full(SHAPE, 5, np.float32) * np.resize([1, -1, 0], SHAPE[2]).astype(np.float32)

    found = views(FULL, extreme)

    assert np.abs(found).max() < 14


def test_gain_and_offset_fill_their_ranges():
    grey = np.zeros(SHAPE, np.float32)
    grey[0] = 1

    found = views(only(contrast=0.3, brightness=0.5), grey)

    offset, gain = found[:, 1, 0, 0], found[:, 0, 0, 0] - found[:, 1, 0, 0]
    np.testing.assert_allclose(
        found, offset[:, None, None, None] + gain[:, None, None, None] * grey, atol=1e-6
    )
    for drawn, low, high in ((gain, 0.7, 1.3), (offset, -0.5, 0.5)):
        assert low <= drawn.min() < low + 0.15 * (high - low)
        assert high - 0.15 * (high - low) < drawn.max() <= high
    assert abs(np.corrcoef(gain, offset)[0, 1]) < 0.6


def test_the_tone_curve_bends_between_two_deviations_for_half_of_the_views():
    grey = np.linspace(-4, 4, np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)

    bend = views(only(curve=0.25), grey) - grey

    assert 0.2 < (bend != 0).any(axis=(1, 2, 3)).mean() < 0.8
    assert not bend[:, np.abs(grey) >= 2].any()
    peak = bend[np.arange(len(bend)), *np.unravel_index(np.abs(grey).argmin(), SHAPE)]
    np.testing.assert_allclose(
        bend, peak[:, None, None, None] * np.maximum(1 - grey**2 / 4, 0), atol=1e-4
    )
    assert 0.1 < np.abs(peak).max() <= 0.25


def test_smoothing_is_the_binomial_kernel_of_scipy_along_y_and_x():
    grey, kernel = block(), [1 / 4, 1 / 2, 1 / 4]
    smooth = convolve1d(convolve1d(grey, kernel, 1, mode="nearest"), kernel, 2, mode="nearest")

    found = views(only(blur=0.5), grey)

    blurred, sharp = ([np.allclose(v, g, atol=1e-6) for v in found] for g in (smooth, grey))
    assert np.logical_xor(blurred, sharp).all()
    assert 0.2 < np.mean(blurred) < 0.8
    assert np.allclose(views(only(blur=1.0), grey), smooth, atol=1e-6)


def test_white_noise_has_at_most_the_deviation_asked_for_and_spares_3_of_10_views():
    grey = block((8, 32, 32))

    noise = views(only(noise=0.5), grey) - grey

    deviation = noise.std(axis=(1, 2, 3))
    assert deviation.max() <= 0.5 * 1.03
    assert 0.3 < deviation.max()
    assert 0.05 < (deviation == 0).mean() < 0.6
    assert (np.abs(noise.mean(axis=(1, 2, 3))) <= 4.5 * deviation / np.sqrt(grey.size)).all()


def test_the_variance_of_poisson_noise_is_proportional_to_the_distance_from_black():
    levels = np.asarray([-5.0, -3.0, -1.5, 0.0, 3.0], np.float32)
    grey = np.broadcast_to(levels[:, None, None], (5, 96, 96)).astype(np.float32)

    noise = views(only(shot_noise=0.5, black=-3.0), grey) - grey

    variance = noise.var(axis=(2, 3))
    assert not variance[:, :2].any()
    most = variance[:, 3].argmax()
    assert 0.3**2 < variance[most, 3] <= 0.5**2 * 1.1
    np.testing.assert_allclose(variance[most, 2:] / variance[most, 3], [0.5, 1, 2], rtol=0.1)


def test_variances_of_white_and_poisson_noise_add_up():
    grey = np.zeros((5, 96, 96), np.float32)

    both, white, shot = (
        views(only(**{n: 0.4 for n in names}), grey).var(axis=(1, 2, 3))
        for names in (("noise", "shot_noise"), ("noise",), ("shot_noise",))
    )

    np.testing.assert_allclose(both, white + shot, rtol=0.02, atol=1e-9)


@pytest.mark.parametrize("name", ["section_jitter", "section_contrast"])
def test_what_is_drawn_for_a_section_holds_in_all_of_it(name):
    found = views(only(**{name: 0.5}), np.ones(SHAPE, np.float32))

    assert (found == found[:, :, :1, :1]).all()
    drawn = found[:, :, 0, 0] - 1
    assert len(np.unique(drawn)) > 0.8 * drawn.size
    expected = 0.5 if name == "section_jitter" else 0.5 / np.sqrt(3)
    assert abs(drawn.std() / expected - 1) < 0.2


def test_a_lost_section_shows_neither_noise_nor_offset():
    found = views(only(missing=0.5, noise=0.5, brightness=0.5), block())

    fills = {-3.0, 0.0}
    lost = (found == found[:, :, :1, :1]).all(axis=(2, 3))
    assert 0.3 < lost.mean() < 0.7
    assert set(np.unique(found[lost])) == fills


def test_cut_outs_keep_the_centres_they_are_given():
    centres: Centres = ((2,), (1, 6), (1, 8))
    config, blocks = only(cut_out=1.0), jnp.stack([jnp.asarray(block())] * len(KEYS))

    cut = np.asarray(changed(config, centres)(KEYS, blocks)) != block()

    assert cut.any()
    for y, x in ((1, 1), (1, 8), (6, 1), (6, 8)):
        assert not cut[:, 1:4, y - 1 : y + 2, x - 1 : x + 2].any()


def test_every_setting_has_a_rule_and_every_draw_a_name_of_its_own():
    assert _RULES.keys() == {field.name for field in dataclasses.fields(AugmentConfig)}
    assert len(set(_DRAWS)) == len(_DRAWS)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"contrast": 1.0}, "augment.contrast is at least 0 and below 1, .* got 1.0"),
        ({"noise": -0.1}, "augment.noise is a strength, at least 0; got -0.1"),
        ({"noise": float("nan")}, "augment.noise is a strength, at least 0; got nan"),
        ({"blur": 1.1}, r"augment.blur is a share, from 0 \(never\) to 1 \(always\); got 1.1"),
        ({"missing": -0.1}, "augment.missing is a share"),
        ({"black": 0.0}, "augment.black is below 0, the mean"),
        ({"misaligned_by": 0}, "augment.misaligned_by is a number of voxels, at least 1; got 0"),
        ({"cut_out_edge": 0.0}, "augment.cut_out_edge is a share of the edge of a block"),
        ({"cut_out_keep": -1}, "augment.cut_out_keep is a number of voxels, at least 0"),
        ({"elastic": 4.5}, "augment.elastic is at most a quarter of .* got 4.5 and 16 voxels"),
    ],
)
def test_settings_out_of_range_are_refused_with_the_rule(bad, words):
    with pytest.raises(ConfigError, match=words):
        AugmentConfig(**bad)
