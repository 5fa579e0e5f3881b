"""Voxels to make stacks of, and the place of the volume that they become."""

import numpy as np
import pytest

SIZE = (4.0, 4.0, 40.0)
VOXELS = np.random.default_rng(0).integers(0, 256, (5, 70, 90), dtype=np.uint8)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "made" / "stack.zarr"


def leftovers(out):
    return [path for path in out.parent.glob("*") if path != out]
