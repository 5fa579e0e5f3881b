"""Tests of serve/probing/suggestions.py: which places are suggested, and why."""

import numpy as np
import pytest

from embed.errors import RequestError
from serve.locations import locations_of
from serve.probes import load_probe, sample_of
from serve.probing.atlas_probes import pool_of
from serve.probing.suggestions import Wish, suggest, uncertainty


@pytest.fixture(scope="module")
def probe(served):
    return load_probe(served.atlas, "mito")


@pytest.fixture(scope="module")
def pool(served):
    return pool_of(served.atlas, sample_of(served.atlas))


@pytest.fixture(scope="module")
def labelled(served, probe):
    return locations_of(served.atlas, probe.places)


@pytest.mark.parametrize("kind", ["mixed", "uncertain", "likely", "unknown"])
def test_suggestions_are_apart_new_and_tell_what_the_probe_says(
    probe, pool, labelled, served, kind
):
    found = suggest(probe, pool, labelled, Wish(12, kind))

    places = np.array([place.position_nm_xyz for place in found])
    apart = np.linalg.norm(places[:, None] - places, axis=-1)[~np.eye(len(found), dtype=bool)]
    assert 6 <= len(found) <= 12
    assert apart.min() >= pool.apart_nm == 150
    assert not set(labelled.ids) & {place.id for place in found}
    first = found[0]
    vector = locations_of(served.atlas, np.array([first.id])).vectors
    assert list(first.probabilities.values()) == pytest.approx(
        probe.probabilities(vector)[0].tolist()
    )
    assert first.uncertainty == pytest.approx(float(uncertainty(probe, vector)[0]))
    assert first.unknown == pytest.approx(float(probe.unknown(vector)[0]))
    assert all(place.why for place in found)


def test_uncertain_places_are_less_certain_than_others(probe, pool, labelled):
    everywhere = uncertainty(probe, pool.locations.vectors)

    found = suggest(probe, pool, labelled, Wish(12, "uncertain"))

    assert np.mean([place.uncertainty for place in found]) > everywhere.mean() + 0.1
    assert found[0].why.startswith("hard to tell: ")


def test_likely_places_are_of_the_class_that_is_asked_for(probe, pool, labelled):
    everywhere = probe.probabilities(pool.locations.vectors)[:, 1]

    found = suggest(probe, pool, labelled, Wish(12, "likely", "mito"))

    sure = [place.probabilities["mito"] for place in found]
    assert np.mean(sure) > everywhere.mean() + 0.1
    assert {place.why for place in found} == {"likely mito"}


def test_the_class_with_fewest_labels_comes_first(probe, pool, labelled):
    assert min(probe.labels, key=probe.labels.get) == "rare"

    found = suggest(probe, pool, labelled, Wish(6, "mixed"))

    assert found[0].why == "likely rare"
    assert found[1].why.startswith("hard to tell")


def test_unknown_places_are_the_least_like_labelled_ones(probe, pool, labelled):
    found = suggest(probe, pool, labelled, Wish(3, "unknown"))

    assert found[0].unknown == probe.unknown(pool.locations.vectors).max()


def test_the_same_labels_give_the_same_suggestions_and_more_labels_others(
    probe, pool, labelled, served
):
    first, again = (suggest(probe, pool, labelled) for _ in range(2))
    more = locations_of(served.atlas, np.append(labelled.ids, first[0].id))

    assert first == again
    assert first[0].id not in {place.id for place in suggest(probe, pool, more)}


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(0), "1 to 100; got 0"),
        (Wish(101), "1 to 100; got 101"),
        (Wish(3, "bold"), "one of mixed, uncertain, likely, unknown; got 'bold'"),
        (Wish(3, "likely", "nucleus"), "no class 'nucleus'; it has: axon, mito, rare"),
        (Wish(3, "unknown", "mito"), "goes with kind likely or mixed, not with unknown"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(probe, pool, labelled, wish, said):
    with pytest.raises(RequestError, match=said):
        suggest(probe, pool, labelled, wish)
