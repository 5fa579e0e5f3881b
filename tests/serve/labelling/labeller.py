"""What the processes do that are killed, or that label at once: label, and tell what is kept."""

import random
from multiprocessing.connection import Connection
from pathlib import Path

from embed.atlas import Atlas
from serve.labelling.label import Place
from serve.labelling.store import LabelStore


def label(path: Path, pipe: Connection, author: str, actions: int) -> None:
    """Labels random places, some of them by the dozen; says the ids of each action once it is kept.

    Ends after so many actions, and says `end`.
    """
    atlas = Atlas.open(path)
    store, rng = LabelStore.open(atlas), random.Random(author)
    low, high = atlas.extent_nm_xyz
    for _ in range(actions):
        places = [
            Place(tuple(map(rng.uniform, low, high)), rng.choice(("mito", "axon")))
            for _ in range(rng.choice((1, 1, 1, 12)))
        ]
        labels, _ = store.add("structures", author, places, "a test")
        pipe.send([one.id for one in labels])
    pipe.send("end")
