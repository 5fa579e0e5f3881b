"""Tests of serve/mapping/components.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from serve.mapping.components import Components


def in_slabs(mask, thickness):
    components = Components()
    for start in range(0, len(mask), thickness):
        components.add(mask[start : start + thickness])
    return components.objects()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.7), st.integers(1, 7))
def test_slabs_give_the_objects_of_the_whole(seed, share, thickness):
    mask = np.random.default_rng(seed).random((7, 6, 5)) < share
    labels, count = ndimage.label(mask)

    found = in_slabs(mask, thickness)

    sizes = np.bincount(labels[mask], minlength=count + 1)[1:]
    centres = np.reshape(ndimage.center_of_mass(mask, labels, np.arange(1, count + 1)), (-1, 3))
    order, expected = (np.lexsort(c.round(6).T) for c in (found.centres, centres))
    np.testing.assert_array_equal(found.sizes[order], sizes[expected])
    np.testing.assert_allclose(found.centres[order], centres[expected])


@pytest.mark.parametrize("slabs", [0, 2])
def test_where_there_is_nothing_there_are_no_objects(slabs):
    components = Components()
    for _ in range(slabs):
        components.add(np.zeros((2, 3, 3), bool))

    assert components.objects().sizes.size == 0
