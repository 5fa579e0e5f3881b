"""Tests of serve/labelling/importing.py and exporting.py."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from embed.atlas import Atlas
from embed.errors import ConflictError, OutOfBoundsError, RequestError
from serve.labelling.exporting import export_labels
from serve.labelling.formats import read_content
from serve.labelling.importing import import_labels
from serve.labelling.label import Place
from serve.labelling.places import LabelFile, Skipped
from tests.serve.brute import write_segmentation

HERE, THERE, VOID = (260.0, 261.0, 435.0), (400.0, 300.0, 400.0), (68.0, 68.0, 75.0)
FAR = (1e6, 0.0, 0.0)


def file_of(*places, **more):
    return LabelFile(
        tuple(Place(at, label, line=n) for n, (at, label) in enumerate(places, 2)), **more
    )


def test_an_import_is_one_action_and_makes_its_set_and_classes(labelled, store):
    done = import_labels(
        labelled, file_of((HERE, "mito"), (THERE, "axon"), (VOID, "axon")), "mine", "ana", "a.csv"
    )

    assert (done.imported, done.classes, done.skipped, done.voids) == (
        3,
        {"mito": 1, "axon": 2},
        (),
        1,
    )
    assert {v.source for v in store.labels("mine")} == {"import a.csv"}
    assert [(c.name, c.key) for c in store.sets()[1].classes] == [("mito", "1"), ("axon", "2")]
    assert store.undo("ana")[0] == "took back an import of 3 labels"
    assert store.labels("mine") == ()
    with pytest.raises(ConflictError):
        store.undo("ana")


def test_new_classes_are_added_to_those_of_a_set(labelled, store):
    import_labels(labelled, file_of((HERE, "soma")), "structures", "ana", "a.csv")

    assert [c.name for c in store.sets()[0].classes] == ["mito", "axon", "soma"]
    assert store.sets()[0].classes[0].key == "m"


def test_an_undone_import_puts_back_what_it_replaced(labelled, store):
    (mine,), _ = store.add("structures", "ana", [Place(HERE, "mito")], "page")
    import_labels(labelled, file_of((HERE, "axon"), (THERE, "axon")), "structures", "ana", "a.csv")

    told, _ = store.undo("ana")

    assert told == "took back an import of 2 labels and put back the 1 that it had replaced"
    assert store.labels("structures") == (mine,)


def test_rows_outside_and_all_but_the_last_at_a_location_are_left_out_and_told(labelled, store):
    file = file_of(
        (FAR, "mito"), (HERE, "mito"), (HERE, "axon"), skipped=(Skipped(9, "it is not valid"),)
    )

    done = import_labels(labelled, file, "structures", "ana", "a.csv")

    assert done.imported == 1
    assert [(row.line, row.why) for row in done.skipped] == [
        (2, "it is outside atlas 'small'"),
        (3, "line 4 labels the same location"),
        (9, "it is not valid"),
    ]


def test_those_outside_are_found_among_many(labelled, store):
    rng = np.random.default_rng(0)
    low, high = labelled.extent_nm_xyz
    places = rng.uniform(low, high, (500, 3))
    outside = rng.choice(500, 40, replace=False)
    places[outside, 1] += 1e5

    done = import_labels(
        labelled,
        file_of(*((tuple(place), "mito") for place in places.tolist())),
        "structures",
        "ana",
        "a.csv",
        dry_run=True,
    )

    told = {row.line - 2 for row in done.skipped if "outside" in row.why}
    assert told == set(outside.tolist())


@pytest.mark.parametrize(
    ("file", "error", "words"),
    [
        (file_of((HERE, "mito"), (FAR, "mito")), OutOfBoundsError, "1 of the 2 places of a.csv"),
        (
            file_of((HERE, "mito"), (HERE, "mito")),
            RequestError,
            "would be left out; the first is l",
        ),
        (
            file_of((HERE, "mito"), skipped=(Skipped(3, "x"),)),
            RequestError,
            "line 3: x. Nothing was",
        ),
    ],
)
def test_a_strict_import_takes_a_file_whole_or_not_at_all(labelled, store, file, error, words):
    before = store.revision()

    with pytest.raises(error, match=words):
        import_labels(labelled, file, "structures", "ana", "a.csv", strict=True)

    assert store.revision() == before


def test_a_file_that_lies_elsewhere_is_refused_with_where_the_atlas_is(labelled, store):
    with pytest.raises(OutOfBoundsError, match=r"run from \(68, 68, 75\) to \(548, 484, 735\) nm"):
        import_labels(labelled, file_of((FAR, "mito")), "structures", "ana", "a.csv")


def test_a_dry_run_stores_nothing_and_tells_the_same(labelled, store):
    file, before = file_of((HERE, "mito"), (THERE, "soma"), (FAR, "a")), store.revision()

    would = import_labels(labelled, file, "mine", "ana", "a.csv", dry_run=True)

    assert (store.revision(), len(store.sets())) == (before, 1)
    done = import_labels(labelled, file, "mine", "ana", "a.csv")
    assert (would.imported, would.classes, would.skipped) == (
        done.imported,
        done.classes,
        done.skipped,
    )


def test_who_a_file_names_is_kept_and_the_importer_may_undo(labelled, store):
    content = b"x_nm,y_nm,z_nm,label,author,time\n260,261,435,mito,eve,2020-01-01T00:00:00Z\n"

    import_labels(labelled, read_content(content, "csv", "a"), "structures", "ana", "a.csv")

    (label,) = store.labels("structures")
    assert (label.author, label.time) == ("eve", "2020-01-01T00:00:00+00:00")
    with pytest.raises(ConflictError):
        store.undo("eve")
    store.undo("ana")
    assert store.labels("structures") == ()


def test_an_import_of_too_many_is_refused(labelled, store, monkeypatch):
    monkeypatch.setattr("serve.labelling.importing.MAX_IMPORTED", 2)

    with pytest.raises(RequestError, match="at most 2 are imported at once"):
        import_labels(labelled, file_of(*3 * [(HERE, "mito")]), "structures", "ana", "a.csv")


@pytest.mark.parametrize("format", ["csv", "cave"])
def test_an_export_is_imported_again_as_it_was(labelled, store, format):
    import_labels(labelled, file_of((HERE, "mito"), (THERE, "axon")), "structures", "ana", "a.csv")
    content = export_labels(labelled, "structures", format)
    store.undo("ana")

    import_labels(labelled, read_content(content, format, "it"), "structures", "bob", "it")

    found = {(v.position_nm_xyz, v.label, v.author) for v in store.labels("structures")}
    assert found == {(HERE, "mito", "ana"), (THERE, "axon", "ana")}


def test_a_set_without_labels_is_not_written(labelled, store):
    with pytest.raises(ConflictError, match="has no labels yet"):
        export_labels(labelled, "structures", "csv")


def test_the_segment_at_each_position_is_written_where_a_segmentation_tells_it(
    labelled, store, tmp_path
):
    segmentation = write_segmentation(tmp_path / "segments.zarr")
    store.add("structures", "ana", [Place(HERE, "mito"), Place(THERE, "axon")], "page")

    content = export_labels(labelled, "structures", "cave", segmentation=segmentation)

    voxels = np.floor(segmentation.frame.to_voxel(np.array([HERE, THERE]))).astype(int)
    told = [place.segment for place in read_content(content, "cave", "it").places]
    assert told == segmentation.read_at(voxels).tolist()


def test_segments_of_given_places_are_written(given, tmp_path):
    atlas = Atlas.open(Path(shutil.copytree(given.path, tmp_path / "own")))
    ids = np.arange(5)
    file = file_of(*((tuple(p), "mito") for p in atlas.positions_nm_xyz(ids).tolist()))
    import_labels(atlas, file, "mine", "ana", "a.csv")

    content = export_labels(atlas, "mine", "csv")

    told = sorted(place.segment for place in read_content(content, "csv", "it").places)
    assert told == sorted(segment or 0 for segment, _ in atlas.known_of(ids))
