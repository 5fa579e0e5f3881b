"""Tests of serve/probing/atlas_probes.py that need no server."""

import threading

from serve.probes import sample_of
from serve.probing import atlas_probes
from serve.probing.atlas_probes import AtlasProbes


def test_what_a_first_training_waits_for_is_loaded_ahead_and_once(served, monkeypatch):
    read = []

    def sampled(atlas):
        read.append(threading.current_thread().name)
        return sample_of(atlas)

    monkeypatch.setattr(atlas_probes, "sample_of", sampled)
    probing = AtlasProbes(served.atlas)

    probing.make_ready()
    probing.make_ready()
    for thread in [t for t in threading.enumerate() if t.name == "probes"]:
        thread.join(60)

    assert probing.suggest("mito")
    assert read == ["probes"]
