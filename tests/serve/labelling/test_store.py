"""Tests of serve/labelling/store.py and sets.py: labels, what is told of them, their classes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from embed.errors import ConflictError, NotFoundError, OutOfBoundsError, RequestError
from serve.labelling.classes import ClassSet, LabelClass
from serve.labelling.label import Place
from serve.labelling.store import LabelStore
from tests.atlases import make_atlas
from tests.serve.labelling.conftest import STRUCTURES

HERE, THERE = (260.0, 261.0, 435.0), (400.0, 300.0, 400.0)
VOID = (68.0, 68.0, 75.0)


def add(store, author, *labels, at=HERE):
    return store.add("structures", author, [Place(at, label) for label in labels], "a test")[0]


def said(store):
    return {(v.author, v.position_nm_xyz): v.label for v in store.labels("structures")}


def test_nothing_is_written_before_something_is_stored(tmp_path):
    store = LabelStore.open(make_atlas(tmp_path / "new", (2, 2, 2)))

    assert (store.sets(), store.revision(), store.changes().labels) == ((), 0, ())
    assert not store.path.exists()


def test_a_label_is_of_the_nearest_location_and_tells_who_said_it_and_whence(store, labelled):
    (label,) = add(store, "Ramón y Cajal", "mito")

    assert label.location == labelled.ids_at(np.array([HERE]))[0]
    assert (label.position_nm_xyz, label.set, label.label) == (HERE, "structures", "mito")
    assert (label.author, label.source) == ("Ramón y Cajal", "a test")
    assert label.time.endswith("+00:00")
    assert LabelStore.open(labelled).labels("structures") == (label,)


def test_a_new_label_of_an_author_replaces_theirs_and_nobody_elses(store):
    add(store, "ana", "mito")
    add(store, "bob", "axon")
    add(store, "ana", "mito", at=THERE)

    add(store, "ana", "axon", at=(HERE[0] + 1, *HERE[1:]))

    assert said(store) == {
        ("ana", (261.0, 261.0, 435.0)): "axon",
        ("bob", HERE): "axon",
        ("ana", THERE): "mito",
    }


def test_polling_tells_what_came_and_what_went_since(store):
    (first,) = add(store, "ana", "mito")
    before = store.changes()
    (second,) = add(store, "ana", "axon")
    (third,) = add(store, "bob", "axon", at=THERE)

    news = store.changes(after=before.revision)

    assert (before.labels, before.removed) == ((first,), ())
    assert (news.labels, news.removed, news.more) == ((second, third), (first.id,), False)
    nothing = store.changes(after=news.revision)
    assert (nothing.labels, nothing.removed, nothing.revision) == ((), (), news.revision)


def test_a_limit_splits_even_what_one_action_did(store):
    places = [Place((132.0 + 32 * n, 260.0, 435.0), "mito") for n in range(7)]
    store.add("structures", "ana", places, "a test")

    told, after = [], 0
    while (news := store.changes("structures", after, 3)).labels:
        told += news.labels
        after = news.revision

    assert [v.position_nm_xyz for v in told] == [place.position_nm_xyz for place in places]
    assert not news.more


def test_a_probe_learns_from_the_newest_label_at_each_location(store):
    add(store, "ana", "mito")
    add(store, "ana", "mito", at=THERE)
    add(store, "bob", "axon")

    table = store.table("structures")

    assert dict(zip(map(tuple, table.positions_nm_xyz.tolist()), table.labels, strict=True)) == {
        HERE: "axon",
        THERE: "mito",
    }
    store.put_set(ClassSet("empty", ()))
    assert store.table("empty").positions_nm_xyz.shape == (0, 3)


def test_of_several_places_at_one_location_the_last_stands(store):
    assert [v.label for v in add(store, "ana", "mito", "axon")] == ["axon"]


def test_a_void_may_be_labelled(store):
    assert add(store, "ana", "mito", at=VOID)[0].position_nm_xyz == VOID


BAD = {
    "outside": ({"at": (1e6, 0.0, 0.0)}, OutOfBoundsError, "outside atlas 'small'"),
    "nowhere": ({"at": (float("nan"), 0.0, 0.0)}, RequestError, "three finite numbers"),
    "no class": ({"labels": ("soma",)}, RequestError, "it has: mito, axon"),
    "no author": ({"author": ""}, RequestError, "an author is 1 to 100"),
    "an endless author": ({"author": "x" * 10_000}, RequestError, "10,000 characters"),
    "a control character": ({"author": "a\nb"}, RequestError, "printable"),
    "text that runs backwards": ({"author": "a\u202eb"}, RequestError, "printable"),
    "a formula": ({"author": '=HYPERLINK("http://evil")'}, RequestError, "as a formula does"),
    "no places": ({"labels": ()}, RequestError, "at least one"),
}


@pytest.mark.parametrize(("wrong", "error", "words"), BAD.values(), ids=BAD.keys())
def test_what_breaks_a_rule_is_refused_and_nothing_of_it_is_kept(store, wrong, error, words):
    asked = {"author": "ana", "labels": ("mito",), "at": HERE} | wrong
    before = store.revision()
    with pytest.raises(error, match=words):
        store.add(
            "structures",
            asked["author"],
            [
                *(Place(THERE, v) for v in asked["labels"]),
                *(Place(asked["at"], v) for v in asked["labels"]),
            ],
            "a test",
        )

    assert (store.revision(), said(store)) == (before, {})


def test_sets_classes_and_labels_that_are_not_there_are_named(store):
    with pytest.raises(NotFoundError, match="no class set 'nobody'; there are: structures"):
        store.labels("nobody")
    with pytest.raises(RequestError, match="1 to 64 of a-z"):
        store.labels("../../etc/passwd")
    for id_ in (0, -1, 77, 2**70):
        with pytest.raises(NotFoundError, match=f"no label {id_}"):
            store.remove(id_, "ana")
    for wrong in ({"after": -1}, {"after": 2**70}, {"limit": 0}, {"limit": 10**9}):
        with pytest.raises(RequestError, match=next(iter(wrong))):
            store.changes(**wrong)


def test_text_that_looks_like_a_program_is_text(store):
    for text in ("<script>alert(1)</script>", "'); DROP TABLE label; --", "{0.__class__}", "%s"):
        store.put_set(
            ClassSet("structures", (*store.sets()[0].classes, LabelClass(text, "#000000")))
        )
        (label,) = store.add("structures", text, [Place(HERE, text)], text)[0]

        assert (label.label, label.author, label.source) == (text, text, text)
    assert len(store.labels("structures")) == 4


def test_many_threads_label_at_once_and_every_label_is_kept(store):
    def work(author):
        return [add(store, author, "mito", at=(132.0 + 32 * n, 260.0, 435.0))[0] for n in range(5)]

    with ThreadPoolExecutor(8) as pool:
        kept = [label for labels in pool.map(work, "abcdefgh") for label in labels]

    assert len({label.id for label in kept}) == 40
    assert set(kept) == set(store.labels("structures"))


def test_a_set_tells_how_many_labels_each_class_has(store):
    add(store, "ana", "mito")
    add(store, "bob", "mito")
    other = ClassSet("quality", (LabelClass("<script>", "#000000"),))
    store.put_set(other)

    structures, quality = store.sets()

    assert (structures.classes, structures.labels) == (STRUCTURES.classes, (2, 0))
    assert (quality.classes, quality.labels) == (other.classes, (0,))


def test_a_class_in_use_cannot_be_dropped_and_another_can(store):
    add(store, "ana", "mito")
    mito, axon = STRUCTURES.classes
    with pytest.raises(ConflictError, match="'mito' of set 'structures' cannot be dropped: 1"):
        store.put_set(ClassSet("structures", (axon,)))

    store.put_set(ClassSet("structures", (LabelClass("new", "#123456", "n"), mito)))

    assert [c.name for c in store.sets()[0].classes] == ["new", "mito"]
    with pytest.raises(RequestError, match="no class 'axon' in set 'structures'; it has: new, m"):
        add(store, "ana", "axon")


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ([("a", "#e69f00", ""), ("a", "#000000", "")], "two classes called 'a'"),
        ([("a", "#e69f00", "k"), ("b", "#000000", "k")], "two classes with the key 'k'"),
        ([("a", "red", "")], "#rrggbb"),
        ([("a", "#E69F00", "")], "lower-case"),
        ([("a", "url(x)", "")], "#rrggbb"),
        ([("a", "#000000", "ab")], "one printable character"),
        ([("a", "#000000", " ")], "one printable character"),
        ([("", "#000000", "")], "the name of a class"),
        ([("e\u0301", "#000000", "")], "NFC"),
        ([(str(n), "#000000", "") for n in range(256)], "at most 255 classes"),
    ],
)
def test_classes_that_break_a_rule_are_refused(classes, words):
    with pytest.raises(RequestError, match=words):
        ClassSet("s", tuple(LabelClass(*one) for one in classes))
