"""`voxkin evaluate`: an encoder's score on a fixed protocol, beside every control."""

import os
from pathlib import Path
from typing import Literal

from embed.errors import NotFoundError
from embed.evaluation.evaluate import SEEDS, evaluate, voxel_size_of
from embed.evaluation.scoreboard import render
from embed.pretrained import find_encoder
from serve.verbs.arguments import Count, Flag, Folder, Run, call
from serve.verbs.console import print_json, print_table, stages

_SEEDS = len(SEEDS)


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(score, "evaluate", words)


def score(
    run: Run,
    /,
    protocol: Literal["P-FIB", "P-VNC", "P-LUC"],
    data: Folder = None,
    seeds: Count = _SEEDS,
    any_voxel_size: Flag = False,
    json: Flag = False,
) -> None:
    """Scores an encoder on a fixed protocol; every control is computed in the same run.

    P-LUC: mitochondria in mouse hippocampus from few labels, and by retrieval. P-VNC: five classes
    in fly nerve cord. P-FIB: whether two places lie in one neuron. An encoder is never judged on
    voxels that it was trained on.

    Examples:
      voxkin evaluate runs/em --protocol P-FIB --data volumes
      voxkin evaluate pretrained --protocol P-LUC --json

    Args:
        run: a training run, the file of an encoder, or `pretrained`: the encoder that comes with
            voxkin for the voxels of the protocol.
        protocol: the protocol.
        data: the folder that holds fib25_b.zarr and the other evaluation volumes; if not given,
            $VOXKIN_DATA, else ../shared/data.
        seeds: how many draws of labels, queries and random encoders; fewer are quicker.
        any_voxel_size: judge an encoder on voxels of a size it was not made for.
        json: print one JSON object instead of the table.
    """
    folder = data or _data()
    encoder = find_encoder(run, lambda _near: voxel_size_of(protocol, folder))
    with stages("evaluating") as tell:
        result = evaluate(
            encoder,
            protocol,
            folder,
            seeds=range(seeds),
            any_voxel_size=any_voxel_size,
            progress=tell,
        )
    if json:
        print_json(result.to_json())
    else:
        print_table(render(result))


def _data() -> Path:
    stated = os.environ.get("VOXKIN_DATA")
    folder = Path(stated) if stated else Path("../shared/data")
    if not folder.is_dir():
        raise NotFoundError(
            f"no evaluation volumes at {folder}; name their folder with --data or $VOXKIN_DATA"
        )
    return folder
