"""`voxkin project`: a UMAP of the atlas."""

import dataclasses
from typing import Literal

from embed.atlas import Atlas
from serve.arguments import AtlasPath, Count, Flag, call
from serve.console import print_json, progress, say
from serve.projection import project as make_projection
from serve.projection import projection_path

# What is going on once so many steps are done.
_STAGES = ("taking a sample", "laying it out", "drawing it", "done")


def main(words: list[str]) -> None:
    """Parses and runs."""
    call(project, "project", words)


def project(
    atlas: AtlasPath,
    /,
    sample: Count = 20_000,
    neighbours: Count = 15,
    min_dist: float = 0.1,
    format: Literal["csv", "parquet"] = "csv",
    seed: Count = 0,
    json: Flag = False,
) -> None:
    """Lays a sample of the atlas out as a map: places that look alike lie together.

    Writes a picture and a table (id, x_nm, y_nm, z_nm, umap_x, umap_y, cluster) to
    ATLAS/projection.

    Example:
      voxkin project em.atlas --sample 50000

    Args:
        atlas: the directory of the atlas.
        sample: about how many places, spread over the whole volume.
        neighbours: that UMAP looks at; more show the whole better, fewer the detail.
        min_dist: how tightly UMAP packs.
        format: of the table; parquet needs the extra voxkin[parquet].
        seed: of the sample and the layout.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    with progress("projecting", 3, "steps", rated=False) as advance:
        info = make_projection(
            opened,
            sample=sample,
            neighbours=neighbours,
            min_dist=min_dist,
            format=format,
            seed=seed,
            progress=lambda done, _: advance(done, _STAGES[done]),
        )
    folder = projection_path(opened)
    if json:
        print_json({**dataclasses.asdict(info), "directory": str(folder)})
        return
    say(
        f"{info.points:,} places in {info.clusters} clusters: look at {folder / info.picture}; "
        f"the table is {folder / info.table}"
    )
