"""Tests of embed/training/artefacts.py: sections lost, copied, moved and bent as they should be."""

import functools
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from embed.encoder import EncoderConfig
from embed.errors import ConfigError
from embed.training.artefacts import (
    cut_out,
    deform,
    displacement,
    duplicate,
    lose,
    misalign,
    place_centres,
)
from embed.training.noise import seeds

SHAPE = (6, 12, 14)
GREY = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
SEEDS = seeds(jax.random.key(0), 64)


@functools.cache
def views(change, *settings, grey=None):
    """64 blocks changed in 64 ways, at once."""
    given = jnp.asarray(GREY if grey is None else np.full(SHAPE, grey, np.float32))
    found = jax.jit(jax.vmap(lambda seed: change(seed, given, *settings)))(SEEDS)
    assert found.shape == (64, *SHAPE)
    assert found.dtype == jnp.float32
    return np.asarray(found)


def sections_of(view):
    """Which section of GREY each section of a view is; -1 if none."""
    same = (view[:, None] == GREY[None]).all(axis=(2, 3))
    return np.where(same.any(axis=1), same.argmax(axis=1), -1)


CHANGES = [
    (deform, 2.0, 8),
    (misalign, 1.0, 3),
    (duplicate, 0.5),
    (lose, 0.5, -3.0),
    (cut_out, 1.0, 0.5, 1),
]


@pytest.mark.parametrize("settings", CHANGES)
def test_changes_are_drawn_anew_for_every_seed_and_leave_constant_blocks_sane(settings):
    found, flat = views(*settings), views(*settings, grey=1.5)

    assert np.isfinite(found).all()
    assert len({view.tobytes() for view in found}) > 32
    # Nothing but the two fills of a lost section is added to a block of one value.
    assert set(np.unique(flat)) <= {1.5, 0.0, -3.0}
    assert 1.5 in flat


@pytest.mark.parametrize(
    "settings", [(deform, 0.0, 8), (misalign, 0.0, 3), (duplicate, 0.0), (lose, 0.0, -3.0)]
)
def test_changes_of_no_strength_are_the_identity(settings):
    assert (views(*settings) == GREY).all()


def test_a_lost_section_is_the_mean_or_black_and_others_are_untouched():
    found = views(lose, 0.3, -3.0)

    flat = found.reshape(-1, *SHAPE[1:])
    mean, black = ((flat == fill).all(axis=(1, 2)) for fill in (0.0, -3.0))
    untouched = (found == GREY).all(axis=(2, 3)).ravel()
    assert (mean.astype(int) + black + untouched == 1).all()
    # 384 sections; four deviations.
    assert abs((mean | black).mean() - 0.3) < 0.1
    assert abs(black.sum() / (mean | black).sum() - 0.5) < 0.2


def test_a_duplicated_section_is_a_copy_of_a_neighbour():
    sources = np.stack([sections_of(view) for view in views(duplicate, 0.4)])

    step = sources - np.arange(SHAPE[0])
    assert set(np.unique(step)) == {-1, 0, 1}
    assert abs((step != 0).mean() - 0.4) < 0.1
    assert set(sources[:, 0]) == {0, 1}
    assert set(sources[:, -1]) == {SHAPE[0] - 2, SHAPE[0] - 1}


def test_misaligned_sections_are_moved_by_whole_voxels_and_mirrored_at_the_edges():
    most, n = 3, SHAPE[0]
    padded = np.pad(GREY, ((0, 0), (most, most), (most, most)), mode="reflect")
    moved = {
        (down, right): padded[:, most + down :, most + right :][:, : SHAPE[1], : SHAPE[2]]
        for down in range(-most, most + 1)
        for right in range(-most, most + 1)
    }
    seen, slips, steps = set(), 0, 0

    for view in views(misalign, 1.0, most):
        (shift,) = {
            by for by, m in moved.items() if ((view == GREY) | (view == m)).all() and any(by)
        } or {(0, 0)}
        rows = [z for z in range(n) if not (view[z] == GREY[z]).all()]
        assert all((view[z] == moved[shift][z]).all() for z in rows)
        assert 0 not in rows
        assert rows in ([], rows[:1], list(range(min(rows, default=n), n)))
        seen.add(shift)
        slips += len(rows) == 1 and rows[0] < n - 1
        steps += len(rows) > 1

    assert min(slips, steps) > 10
    assert {d for d, _ in seen} == {r for _, r in seen} == set(range(-most, most + 1))


def test_the_share_of_views_that_are_misaligned_or_cut_is_kept():
    for settings in ((misalign, 0.3, 5), (cut_out, 0.3, 0.5, 0)):
        changed = (views(*settings) != GREY).any(axis=(1, 2, 3))
        assert abs(changed.mean() - 0.3) < 0.23


def test_bending_is_the_interpolation_of_scipy_at_displaced_voxels():
    voxels, spacing = 2.0, 8
    found = views(deform, voxels, spacing)

    for seed, view in zip(SEEDS[:2], found[:2], strict=True):
        shifts = np.asarray(displacement(seed, SHAPE, voxels, spacing))
        at = np.indices(SHAPE) + np.concatenate([np.zeros((1, *SHAPE)), shifts])
        expected = map_coordinates(GREY, at, order=1, mode="mirror")
        np.testing.assert_allclose(view, expected, atol=1e-4)


def test_displacements_are_bounded_smooth_and_do_not_fold():
    voxels, spacing, shape = 4.0, 16, (24, 48, 40)
    found = np.asarray(jax.jit(jax.vmap(lambda s: displacement(s, shape, voxels, spacing)))(SEEDS))

    assert np.abs(found).max() <= voxels
    assert 0.1 * voxels < found.std() < 0.3 * voxels
    assert abs(found.mean()) < 0.1 * voxels
    for axis in (2, 3, 4):
        slope, bend = np.diff(found, axis=axis), np.diff(found, n=2, axis=axis)
        # A spline's slope is at most the largest step between control points over their spacing.
        assert np.abs(slope).max() <= 2 * voxels / spacing
        assert np.abs(bend).max() <= 4 * voxels / spacing**2
    (yy, yx), (xy, xx) = (
        [np.diff(f, axis=a)[:, :, : shape[1] - 1, : shape[2] - 1] for a in (2, 3)]
        for f in (found[:, 0], found[:, 1])
    )
    assert ((1 + yy) * (1 + xx) - yx * xy).min() > 0


def test_a_bent_ramp_shows_the_displacement_itself():
    shape = (3, 24, 24)
    ramp = jnp.broadcast_to(jnp.arange(24.0)[:, None], shape)

    bent = np.asarray(jax.jit(lambda seed: deform(seed, ramp, 2.0, 16) - ramp)(SEEDS[0]))

    down, _ = np.asarray(displacement(SEEDS[0], shape, 2.0, 16))
    np.testing.assert_allclose(bent[:, 3:-3], down[:, 3:-3], atol=1e-4)


def test_a_box_is_cut_out_but_never_a_centre_with_its_margin():
    centres, keep, edge = ((3,), (3, 8), (2, 7, 12)), 1, 0.5
    kept = np.zeros(SHAPE, bool)
    for z, y, x in np.stack(np.meshgrid(*centres), -1).reshape(-1, 3):
        kept[z - 1 : z + 2, y - 1 : y + 2, max(x - 1, 0) : x + 2] = True

    cut = views(cut_out, 1.0, edge, keep, centres) != GREY

    assert not cut[:, kept].any()
    assert (cut.any(axis=0) | kept).mean() > 0.8  # 64 boxes reach nearly every voxel
    for view in cut:
        for axis, n in enumerate(SHAPE):
            rows = np.flatnonzero(view.any(axis=tuple({0, 1, 2} - {axis})))
            assert np.ptp(rows) < edge * n
    assert 0 < cut.mean() < edge**3


def test_without_places_the_centre_of_the_block_is_kept():
    cut = views(cut_out, 1.0, 1.0, 1) != GREY

    centre = tuple(slice(n // 2 - 1, n // 2 + 2) for n in SHAPE)
    assert not cut[(slice(None), *centre)].any()
    assert cut.sum() > 0


def test_a_cut_out_is_filled_with_its_mean_or_with_noise_like_it():
    fills = {"mean": 0, "noise": 0}

    for view in views(cut_out, 1.0, 1.0, 0):
        cut = view != GREY
        before, after = GREY[cut], view[cut]
        size = np.sqrt(cut.sum())
        assert abs(after.mean() - before.mean()) < 4.5 * before.std() / size
        fills["mean" if np.ptp(after) == 0 else "noise"] += 1
        assert np.ptp(after) == 0 or abs(after.std() / before.std() - 1) < 5 / size

    assert min(fills.values()) > 16


def test_centres_of_places_are_those_of_their_fields_of_view():
    encoder, places = EncoderConfig(), (4, 2, 1)

    found = place_centres(encoder.fov, encoder.stride, places)

    assert tuple(map(len, found)) == places
    for centres, fov, step, n in zip(
        found, encoder.fov, encoder.stride, encoder.voxels(places), strict=True
    ):
        assert centres[0] == n - 1 - centres[-1] == fov // 2
        assert all(b - a == step for a, b in pairwise(centres))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, b: misalign(s, b, 1.0, 12), "augment.misaligned_by .* 12, .* 12x14 .* most 11"),
        (lambda s, b: deform(s, b, 12.5, 50), "augment.elastic .* 12.5, .* 12x14 .* most 11"),
    ],
)
def test_displacements_too_large_for_a_section_are_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        change(SEEDS[0], jnp.asarray(GREY))


@pytest.mark.parametrize(
    "change", [lambda s, b: misalign(s, b, 1.0, 3), lambda s, b: duplicate(s, b, 1.0)]
)
def test_blocks_of_one_section_are_left_alone_by_what_needs_two(change):
    found = jax.jit(jax.vmap(lambda seed: change(seed, jnp.asarray(GREY[:1]))))(SEEDS)

    assert (np.asarray(found) == GREY[:1]).all()
