"""Tests of serve/labelling/history.py: what is undone, what then stands, and what is never lost."""

import random
import sqlite3

import pytest

from embed.errors import ConflictError
from serve.labelling.classes import ClassSet
from serve.labelling.label import Place
from tests.serve.labelling.conftest import STRUCTURES

HERE, THERE = (260.0, 261.0, 435.0), (400.0, 300.0, 400.0)


def add(store, author, *labels, at=HERE):
    return store.add("structures", author, [Place(at, label) for label in labels], "a test")[0]


def said(store):
    return {(v.author, v.position_nm_xyz): v.label for v in store.labels("structures")}


def test_undo_takes_back_what_an_author_did_newest_first(store):
    first = add(store, "ana", "mito")
    add(store, "bob", "axon")
    add(store, "ana", "axon")
    store.remove(store.labels("structures")[-1].id, "ana")

    told = [store.undo("ana")[0] for _ in range(3)]

    assert told[0] == "put back 'axon' (structures) at 260, 261, 435 nm"
    assert told[1] == "took back 1 label and put back the 1 that it had replaced"
    assert told[2] == "took back 'mito' (structures) at 260, 261, 435 nm"
    assert said(store) == {("bob", HERE): "axon"}
    with pytest.raises(ConflictError, match="nothing to undo of what 'ana' did"):
        store.undo("ana")
    assert first[0].id not in {v.id for v in store.labels("structures")}


def test_an_undo_brings_back_nothing_that_was_replaced_since(store):
    (old,) = add(store, "ana", "mito")
    store.remove(old.id, "bob")
    add(store, "ana", "axon")

    told, _ = store.undo("bob")

    assert told == "nothing: others had taken back what there was to undo"
    assert said(store) == {("ana", HERE): "axon"}


class Replay:
    """What stands by the rule alone: the actions that are not undone, one after another."""

    def __init__(self):
        self.actions = []

    def undo(self, author):
        mine = [a for a in self.actions if a["author"] == author and not a["undone"]]
        if mine:
            mine[-1]["undone"] = True

    def standing(self):
        """Ids that stand: made, and neither taken away nor followed at the same place."""
        live = [a for a in self.actions if not a["undone"]]
        gone = {a["takes"] for a in live}
        newest = {}
        for action in live:
            newest.update({(action["author"], place): id_ for place, id_ in action["makes"]})
        return set(newest.values()) - gone


def test_what_stands_is_what_the_actions_that_are_not_undone_say(store):
    rng, replay = random.Random(0), Replay()
    places = [HERE, THERE, (150.0, 400.0, 600.0)]

    for _ in range(80):
        author, at = rng.choice("ab"), rng.choice(places)
        there = store.labels("structures")
        done = {"author": author, "undone": False, "makes": [], "takes": None}
        kind = rng.choice(("add", "add", "remove", "undo"))
        if kind == "undo":
            replay.undo(author)
            try:
                store.undo(author)
            except ConflictError:
                pass
        elif kind == "remove" and there:
            done["takes"] = rng.choice(there).id
            store.remove(done["takes"], author)
            replay.actions.append(done)
        else:
            (label,) = add(store, author, rng.choice(("mito", "axon")), at=at)
            done["makes"] = [(at, label.id)]
            replay.actions.append(done)
        assert {v.id for v in store.labels("structures")} == replay.standing()


def test_a_dropped_class_comes_back_with_a_label_that_an_undo_brings_back(store):
    (label,) = add(store, "ana", "axon")
    store.remove(label.id, "ana")
    store.put_set(ClassSet("structures", STRUCTURES.classes[:1]))

    store.undo("ana")

    assert [c.name for c in store.sets()[0].classes] == ["mito", "axon"]
    assert store.sets()[0].labels == (0, 1)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM label",
        "UPDATE label SET author = 'eve'",
        "DELETE FROM action",
        "UPDATE action SET author = 'eve'",
        "DELETE FROM removal",
    ],
)
def test_the_history_refuses_to_be_changed(store, statement):
    add(store, "ana", "mito")
    add(store, "ana", "axon")

    db = sqlite3.connect(store.path)
    with pytest.raises(sqlite3.IntegrityError, match="are never"):
        db.execute(statement)
    db.close()
