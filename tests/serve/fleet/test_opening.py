"""Tests of serve/fleet/fleet.py that need no cluster."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from serve.fleet.fleet import Fleet, FleetSettings
from serve.fleet.slabs import Slab

# Ray Serve itself uses what pydantic will drop one day.
pytestmark = pytest.mark.filterwarnings(r"ignore:::ray\.")


@pytest.fixture
def switching():
    """Threads take turns a thousand times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 1000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_several_indices_may_be_opened_at_once():
    fleet = Fleet(FleetSettings())
    slab = Slab("slab.faiss", start=0, stop=9, count=9, bytes=900, sha256="")

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(fleet._deployment, [slab] * 200))

    assert {deployment.num_replicas for deployment in made} == {2}
