"""Runs the notebooks on the sample, in the order in which a newcomer does."""

import os
from pathlib import Path

import nbformat
import numpy as np
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

import serve.clusters.project
from embed.atlas import Atlas
from serve.clusters.project import project
from serve.clusters.umap_worker import Layout

FOLDER = Path(__file__).parents[1] / "notebooks"
NAMES = ("quick_start", "find_similar", "few_shot_probe", "umap")
# Of an output that is kept in the repository; pictures are larger than texts.
LARGEST_BYTES = 200_000


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """One kernel in an empty folder, as most of the time of a notebook goes into its imports."""
    folder = tmp_path_factory.mktemp("notebooks")
    # By files, so that no port is opened.
    manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "kernel"))
    manager.start_kernel(cwd=folder, env=os.environ | {"MPLBACKEND": "agg"})
    yield manager, folder
    manager.shutdown_kernel(now=True)


def _plainly(vectors, config, tell):
    """A layout without UMAP, which compiles for half a minute and has tests of its own."""
    middle = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(middle, full_matrices=False)
    xy = (middle @ axes[:2].T).astype(np.float32)
    return Layout(xy, (xy[:, 0] > np.median(xy[:, 0])).astype(np.int64))


@pytest.mark.slow
def test_the_notebooks_run_in_their_order(kernel, monkeypatch):
    manager, folder = kernel
    for name in NAMES:
        notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell("%reset_selective -f ^[^_]"))
        if name == "umap":
            monkeypatch.setattr(serve.clusters.project, "lay_out", _plainly)
            project(Atlas.open(folder / "sample.atlas"), sample=400)

        client = NotebookClient(notebook, km=manager, timeout=200)
        try:
            client.execute()
        finally:
            client.kc.stop_channels()

        assert [c for c in notebook.cells if c.cell_type == "code" and c.outputs], name


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_with_what_it_shows_and_no_more(name):
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)

    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    sizes = [len(str(data)) for out in outputs for data in out.get("data", {}).values()]
    assert sizes
    assert max(sizes) < LARGEST_BYTES
    assert not [out for out in outputs if out.output_type == "error"]
    assert not [out for out in outputs if out.get("name") == "stderr"]


def test_every_notebook_is_run():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)
