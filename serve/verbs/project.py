"""`voxkin project`: a UMAP of the atlas, its clusters, and what is made of them."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import tyro

from embed.atlas import Atlas
from serve.clusters.cluster_map import map_clusters
from serve.clusters.clusters import Cluster, Clusters
from serve.clusters.export import export_map
from serve.clusters.project import project as make_projection
from serve.clusters.projection import projection_path
from serve.clusters.umap_worker import LAYING_OUT, Tell
from serve.verbs.arguments import AtlasPath, Count, Flag, Out, call, call_one_of
from serve.verbs.console import (
    Advance,
    note,
    plain_table,
    print_json,
    print_table,
    progress,
    say,
    stages,
)

Number = Annotated[int, tyro.conf.Positional, tyro.conf.arg(metavar="CLUSTER")]
Called = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]


def main(words: list[str]) -> None:
    """Parses and runs; without one of the words the first argument is the atlas."""
    others: dict[str, Callable[..., None]] = {
        "list": show,
        "name": name,
        "map": write_map,
        "export": export,
    }
    if words and words[0] in others:
        call_one_of(others, "project", "", words)
    else:
        call(project, "project", words)


def project(
    atlas: AtlasPath,
    /,
    sample: Count = 20_000,
    neighbours: Count = 15,
    min_dist: float = 0.1,
    format: Literal["csv", "parquet"] = "csv",
    seed: Count = 0,
    montages: bool = True,
    json: Flag = False,
) -> None:
    """Lays a sample of the atlas out as a map: places that look alike lie together.

    Writes a picture, a table (id, x_nm, y_nm, z_nm, umap_x, umap_y, cluster) and a picture of each
    cluster to ATLAS/projection. More can be made of it:

      voxkin project list em.atlas                   the clusters, and what they might be
      voxkin project name em.atlas 3 mitochondria    what people call a cluster
      voxkin project map em.atlas                    the cluster of every location
      voxkin project export em.atlas --out em.parquet    for embedding-atlas, napari, papers

    Example:
      voxkin project em.atlas --sample 50000

    Args:
        atlas: the directory of the atlas.
        sample: about how many places, spread over the whole volume.
        neighbours: that UMAP looks at; more show the whole better, fewer the detail.
        min_dist: how tightly UMAP packs.
        format: of the table; parquet needs the extra voxkin[parquet].
        seed: of the sample and the layout.
        montages: draw the most typical places of each cluster.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    with _stages() as tell:
        info = make_projection(
            opened,
            sample=sample,
            neighbours=neighbours,
            min_dist=min_dist,
            format=format,
            seed=seed,
            montages=montages,
            tell=tell,
        )
    folder = projection_path(opened)
    if json:
        print_json({**dataclasses.asdict(info), "directory": str(folder)})
        return
    if montages and info.montages < info.clusters:
        note(f"{info.montages} of {info.clusters} clusters are drawn: the volume cannot be read")
    say(
        f"{info.points:,} places in {info.clusters} clusters: look at {folder / info.picture}; "
        f"the table is {folder / info.table}"
    )


def show(atlas: AtlasPath, /, json: Flag = False) -> None:
    """Lists the clusters of the map, with what they might be where probes or labels tell.

    Example:
      voxkin project list em.atlas

    Args:
        atlas: the directory of the atlas.
        json: print a JSON list.
    """
    clusters = Clusters(Atlas.open(atlas)).listed()
    if json:
        print_json([_report(cluster) for cluster in clusters])
        return
    table = plain_table(names="cluster|name|might be|says", numbers="points")
    for one in clusters:
        might = (one.suggestion.text, one.suggestion.source) if one.suggestion else ("", "")
        table.add_row(str(one.number), one.name, *might, f"{one.size:,}")
    print_table(table)


def name(atlas: AtlasPath, cluster: Number, called: Called, /) -> None:
    """Names a cluster; an empty name gives it its number back.

    Example:
      voxkin project name em.atlas 3 mitochondria

    Args:
        atlas: the directory of the atlas.
        cluster: its number.
        called: up to 100 characters.
    """
    made = Clusters(Atlas.open(atlas)).name(cluster, called)
    say(f"cluster {made.number} is {made.name!r}")


def write_map(atlas: AtlasPath, /, json: Flag = False) -> None:
    """Writes the cluster of every location, by the points of the map that are most like it.

    On a grid that is ATLAS/projection/clusters.zarr, an array of uint16 [z, y, x] in which 0 is no
    cluster and 1 is cluster 0; of given places it is clusters.csv. A run that was stopped goes on.

    Example:
      voxkin project map em.atlas

    Args:
        atlas: the directory of the atlas.
        json: print a JSON report.
    """
    opened = Atlas.open(atlas)
    with progress("mapping", opened.planned, "locations") as advance:
        summary = map_clusters(opened, lambda done, _: advance(done))
    if json:
        print_json({**dataclasses.asdict(summary), "path": str(summary.path)})
        return
    named = {one.number: one.name for one in Clusters(opened).listed()}
    total = max(sum(summary.locations.values()) + summary.unclustered, 1)
    table = plain_table(names="cluster", numbers="locations|share")
    for number, count in summary.locations.items():
        table.add_row(named[number], f"{count:,}", f"{count / total:.1%}")
    table.add_row("none", f"{summary.unclustered:,}", f"{summary.unclustered / total:.1%}")
    print_table(table)
    say(f"the map is {summary.path}")


def export(
    atlas: AtlasPath,
    /,
    out_path: Out,
    thumbnails: Flag = False,
) -> None:
    """Writes the map for other programs; the name of the file says the kind.

    .parquet for embedding-atlas and pandas, .csv for napari, .png, .pdf or .svg for a paper.

    Examples:
      voxkin project export em.atlas --out em.parquet --thumbnails
      embedding-atlas em.parquet --x umap_x --y umap_y --neighbors neighbors --disable-projection
      voxkin project export em.atlas --out em.csv && napari em.csv

    Args:
        atlas: the directory of the atlas.
        out_path: the file.
        thumbnails: put a picture of every point into a .parquet file.
    """
    opened = Atlas.open(atlas)
    with progress("drawing", 0, "thumbnails") as advance:
        points = export_map(
            opened,
            out_path,
            thumbnails=thumbnails,
            progress=lambda done, total: advance(done, total=total),
        )
    say(f"{points:,} points are in {out_path}")


def _uncounted(done: int, *, total: int) -> None:
    """Shows nothing of what cannot be counted."""


@contextlib.contextmanager
def _stages() -> Iterator[Tell]:
    """Shows what goes on: with a bar, a rate and the time left where it is counted."""
    with contextlib.ExitStack() as shown:
        current = ""
        advance: Advance = _uncounted

        def tell(what: str, done: int, total: int) -> None:
            nonlocal current, advance
            if what != current:
                shown.close()
                current, advance = what, _uncounted
                if total:
                    units = "epochs" if what == LAYING_OUT else "clusters"
                    advance = shown.enter_context(progress(what, total, units))
                else:
                    shown.enter_context(stages("projecting"))(what)
            advance(done, total=total)

        yield tell


def _report(cluster: Cluster) -> dict[str, object]:
    suggestion = dataclasses.asdict(cluster.suggestion) if cluster.suggestion else None
    return {**dataclasses.asdict(cluster), "suggestion": suggestion}
