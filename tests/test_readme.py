"""Runs the commands of the README, in its order, on the sample."""

import csv
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from embed.samples import PATH
from embed.volume import open_volume
from serve.cli import VERBS, main
from serve.verbs.serve import start
from tests.commandline import write_volume

README = (Path(__file__).parents[1] / "README.md").read_text()
# What would take minutes here is made small; UMAP and the protocols have tests of their own.
SHORTER = {"train": ["--train.steps", "3", "--sampling.crops", "2"]}
ONLY_HELP = {"project", "evaluate"}


def _commands() -> list[list[str]]:
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("voxkin ")]


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch) -> Path:
    """A folder with what the README takes for granted: a volume and what belongs to it."""
    tifffile = pytest.importorskip("tifffile")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PATH, "em.ome.zarr")
    (tmp_path / "stack").mkdir()
    sections = open_volume(PATH).read(open_volume(PATH).box)[:8, :64, :64]
    for z, section in enumerate(sections):
        tifffile.imwrite(tmp_path / "stack" / f"{z:03}.tif", section)
    ids = np.zeros((120, 250, 250), np.uint16)
    ids[20:60, 20:200, 20:200], ids[60:110, 20:200, 20:200] = 12, 77
    write_volume(tmp_path / "ids.zarr", ids)
    write_volume(tmp_path / "tissue.zarr", ids > 0)
    (tmp_path / "synapses.csv").write_text("x_nm,y_nm,z_nm\n1280,940,405\n2050,780,405\n")
    rng = np.random.default_rng(0)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["x_nm", "y_nm", "z_nm", "label"])
        for i in range(20):
            rows.writerow([*rng.uniform(200, 1000, 3).round(), ("mitochondrion", "other")[i % 2]])
    return tmp_path


def test_the_readme_shows_every_verb():
    shown = {command[0] for command in _commands()}

    assert shown | {"demo"} == VERBS.keys()


@pytest.mark.slow
def test_the_commands_of_the_readme_work_in_their_order(newcomer, capsys):
    for command in _commands():
        verb = command[0]
        if verb == "serve":
            server = start((Path(command[1]),), "127.0.0.1:0", "127.0.0.1:0")
            continue
        words = [server.grpc_address if w == "127.0.0.1:50061" else w for w in command]
        words = [*words, "--help"] if verb in ONLY_HELP else [*words, *SHORTER.get(verb, [])]

        code = main(words)

        assert code == 0, (words, capsys.readouterr().err)
    server.stop(0)

    assert (newcomer / "stack.ome.zarr" / "zarr.json").is_file()
