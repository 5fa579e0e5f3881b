"""Tests of searching/place_rules.py and class_maps.py: filters by masks and classes of maps."""

import shutil

import numpy as np
import pytest

import serve.searching.selection
from embed.atlas import Atlas
from embed.errors import DataError, MismatchError, NotFoundError, RequestError
from embed.volume import open_volume
from serve.index import build_index, open_index
from serve.labels import LabelTable
from serve.mapping.apply import apply_probe
from serve.maps import map_path
from serve.probes import Teaching, load_probe, train_atlas_probe
from serve.queries import ClassFilter, Filters, Query, Wish
from serve.search import Searcher
from serve.searching.class_maps import open_map
from tests.atlases import make_atlas, make_given_atlas
from tests.labelled import write_volume
from tests.serve.brute import everything, greedy

MASK_NM = (50.0, 70.0, 70.0)
QUERY = np.linspace(-1, 1, 16).astype(np.float32)
ALL = ("grid", "given")


@pytest.fixture(scope="module")
def mask(tmp_path_factory):
    """Blobs at a voxel size of its own, over the first three quarters of the volume."""
    path = tmp_path_factory.mktemp("masks") / "m.zarr"
    write_volume(path, (np.indices((12, 7, 7)).sum(axis=0) % 3 == 0).astype(bool), MASK_NM)
    return open_volume(path)


@pytest.fixture(scope="module")
def atlases(tmp_path_factory):
    """A grid and given places of its volume, with the map of a probe each."""
    folder = tmp_path_factory.mktemp("mapped")
    grid = make_atlas(folder / "grid")
    made = {"grid": grid, "given": make_given_atlas(folder / "given", grid)}
    for atlas in made.values():
        _, vectors, positions = everything(atlas)
        some = slice(None, None, len(positions) // 60)
        names = np.where(vectors[some, 0] < 0, "axon", "mito")
        table = LabelTable(positions[some], tuple(names.tolist()))
        # Places are random, of which no share of a class can be told.
        apply_probe(atlas, train_atlas_probe(atlas, table, "mito", Teaching(prior="none")))
        build_index(atlas)
    return made


def searcher_of(atlas, mask=None, **masks):
    return Searcher(atlas, open_index(atlas), masks={**({"m": mask} if mask else {}), **masks})


def covered(mask, positions):
    """Whether the mask covers positions in nm, XYZ."""
    voxels = np.floor(positions[:, ::-1] / MASK_NM).astype(int)
    inside = (voxels < mask.box.stop).all(axis=1)
    values = mask.read(mask.box)
    return inside & values[tuple(np.minimum(voxels, np.subtract(mask.box.stop, 1)).T)]


def probabilities(atlas):
    """Of each location with data, as the map keeps them."""
    _, vectors, _ = everything(atlas)
    return load_probe(atlas, "mito").probabilities(vectors)


@pytest.mark.parametrize("by_index", [False, True], ids=["compared", "by the index"])
@pytest.mark.parametrize("which", ALL)
def test_hits_lie_in_the_mask_and_are_those_of_brute_force(
    atlases, mask, which, by_index, monkeypatch
):
    if by_index:
        monkeypatch.setattr(serve.searching.selection, "FEW", 0)
    atlas = atlases[which]

    found = searcher_of(atlas, mask).find(
        Query(like=(QUERY,)), Wish(12, 100, Filters(masks=frozenset({"m"})))
    )

    ids, vectors, positions = everything(atlas)
    scores = vectors @ (QUERY / np.linalg.norm(QUERY))
    kept = greedy(ids, scores, positions, 12, 100, allowed=covered(mask, positions))
    assert [hit.id for hit in found.hits] == ids[kept].tolist()


@pytest.mark.parametrize("which", ALL)
@pytest.mark.parametrize("least", [None, 0.25, 0.75, 1.0])
def test_hits_are_where_the_map_says_the_class(atlases, which, least):
    atlas = atlases[which]
    wanted = ClassFilter("mito", "axon", least)

    found = searcher_of(atlas).find(Query(like=(QUERY,)), Wish(3000, 0, Filters(classes=(wanted,))))

    ids, _, _ = everything(atlas)
    axon = probabilities(atlas)[:, 0]
    step = 1 / 255 if which == "grid" else 1e-4  # of what maps hold
    enough = (0.5 + step) if least is None else least
    told = {hit.id for hit in found.hits}
    assert set(ids[axon >= enough].tolist()) <= told
    assert told <= set(ids[axon >= (least or 0.5) - step].tolist())
    assert found.reason.endswith("are of the class")


def test_the_class_that_is_named_as_the_probe_is_meant_where_none_is(atlases):
    searcher = searcher_of(atlases["grid"])
    named, meant = (Filters(classes=(ClassFilter("mito", c),)) for c in ("mito", ""))

    found = [searcher.find(Query(like=(QUERY,)), Wish(50, 0, f)).hits for f in (named, meant)]

    assert found[0] == found[1]
    assert found[0]


@pytest.mark.parametrize("which", ALL)
def test_everything_and_boxes_pass_the_same_filters(atlases, mask, which):
    atlas = atlases[which]
    low, high = atlas.extent_nm_xyz
    middle = tuple((a + b) / 2 for a, b in zip(low, high, strict=True))
    filters = Filters(((low, middle),), masks=frozenset({"m"}), classes=(ClassFilter("mito"),))
    searcher = searcher_of(atlas, mask)

    listed = searcher.find(Query(like=(QUERY,)), Wish(3000, 0, filters)).hits
    streamed = [h for _, some in searcher.find_all(Query(like=(QUERY,)), -1, filters) for h in some]

    assert {hit.id for hit in listed} == {hit.id for hit in streamed}
    assert listed


def test_a_map_that_is_made_anew_is_read_anew(tmp_path):
    atlas = make_atlas(tmp_path / "a")
    build_index(atlas)
    searcher, filters = searcher_of(atlas), Filters(classes=(ClassFilter("p", "one"),))
    _, vectors, positions = everything(atlas)
    found = []
    for number in (0, 1):
        names = np.where(vectors[::40, number] < 0, "one", "two")
        table = LabelTable(positions[::40], tuple(names.tolist()))
        apply_probe(atlas, train_atlas_probe(atlas, table, "p"))
        hits = searcher.find(Query(like=(QUERY,)), Wish(3000, 0, filters)).hits
        found.append({hit.id for hit in hits})

    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        (Filters(masks=frozenset({"/etc/passwd"})), NotFoundError, "there are: m"),
        (Filters(classes=(ClassFilter("nobody"),)), NotFoundError, "voxkin probe apply"),
        (Filters(classes=(ClassFilter("../mito"),)), RequestError, "a-z, 0-9"),
        (Filters(classes=(ClassFilter("mito", "bark"),)), RequestError, "which: axon, mito"),
    ],
)
@pytest.mark.parametrize("which", ALL)
def test_what_is_not_there_is_refused(atlases, mask, which, filters, error, words):
    searcher, query = searcher_of(atlases[which], mask), Query(like=(QUERY,))

    for ask in (
        lambda: searcher.find(query, Wish(filters=filters)),
        lambda: list(searcher.find_all(query, 0.5, filters)),
    ):
        with pytest.raises(error, match=words):
            ask()


@pytest.mark.parametrize("least", [0, -1, 1.5, float("nan")])
def test_a_probability_that_is_none_is_refused(least):
    with pytest.raises(RequestError, match="above 0 and up to 1"):
        ClassFilter("mito", "", least)


def test_more_filters_than_a_search_takes_are_refused():
    with pytest.raises(RequestError, match="at most 16 classes; got 17"):
        Filters(classes=(ClassFilter("p"),) * 17)
    with pytest.raises(RequestError, match="at most 1,000 boxes; got 1,001"):
        Filters((((0, 0, 0), (1, 1, 1)),) * 1001)


@pytest.mark.parametrize("which", ALL)
def test_a_map_that_cannot_be_read_is_told_with_how_to_mend_it(atlases, which, tmp_path):
    atlas = Atlas.open(shutil.copytree(atlases[which].path, tmp_path / "a"))
    path = map_path(atlas, "mito")
    (path if which == "given" else path / "zarr.json").write_text("{")

    with pytest.raises(DataError, match="map of probe 'mito' cannot be read.*apply it again"):
        open_map(atlas, "mito").of(np.arange(3))


def test_the_map_of_another_atlas_is_refused(atlases, tmp_path):
    other = make_atlas(tmp_path / "a", (6, 6, 6))
    shutil.copytree(map_path(atlases["grid"], "mito"), map_path(other, "mito"))

    with pytest.raises(MismatchError, match="another atlas"):
        open_map(other, "mito")
