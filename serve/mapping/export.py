"""A map handed on: in the format of other programs, at the voxels of the volume if wanted."""

from pathlib import Path

from embed.atlas import Atlas
from embed.errors import ConfigError
from embed.geometry import Box
from embed.probe import Probe
from embed.storage import digest_json
from serve.layers.probe_layers import class_segments
from serve.locations import Progress
from serve.mapping.apply import made_of
from serve.mapping.grids import CellGrid, MapGrid, VoxelGrid, likeliest
from serve.mapping.making import finished, making
from serve.mapping.writers import CHUNK, WRITERS, Format
from serve.maps import FULL, map_path
from serve.searching.class_maps import open_map

# Voxels that are made at once, 2 million: with ten classes a tenth of a gigabyte while they are.
_BLOCK = (2 * CHUNK, 2 * CHUNK, 2 * CHUNK)


def export_map(
    atlas: Atlas, probe: Probe, format: Format, *, smooth: bool, progress: Progress | None = None
) -> Path:
    """Writes the map of a probe that was applied in another format, beside it.

    A run that was killed is gone on with; what is there already is left as it is.

    Args:
        atlas: on a grid.
        probe: that was applied to it.
        format: to write.
        smooth: at the voxels of the volume, probabilities interpolated between locations.
        progress: called with the voxels that are done and all there are.

    Returns:
        The folder that was written.

    Raises:
        ConfigError: the atlas is of given places.
        NotFoundError: the probe was not applied.
        IncompleteError: another process is writing a map.
        DataError: the map cannot be read.
        StorageError: the disk refuses; what was there stays.
    """
    if atlas.info.points is not None:
        raise ConfigError(
            f"atlas {atlas.name!r} is of given places, whose map is a table: leave out --format "
            "and --smooth"
        )
    grid: MapGrid = (VoxelGrid if smooth else CellGrid)(atlas, open_map(atlas, probe.name))
    path = export_path(atlas, probe.name, format, smooth=smooth)
    digest = digest_json([made_of(atlas, probe), format, smooth])
    whole = Box((0, 0, 0), grid.shape)
    least = FULL / 2 if probe.kind == "multilabel" else 0.0
    report = progress or (lambda done, total: None)
    if finished(path, digest) is not None:
        report(whole.size, whole.size)
        return path
    with making(path, digest) as made:
        writer = WRITERS[format](made.folder, grid, class_segments(probe.classes))
        done = 0
        for number, box in enumerate(whole.tiles(_BLOCK)):
            if number not in made.done:
                levels = grid.read(box)
                writer.write(box, levels, likeliest(levels, least))
                made.note(number)
            done += box.size
            report(done, whole.size)
    return path


def export_path(atlas: Atlas, name: str, format: Format, *, smooth: bool) -> Path:
    """Where the map of a probe is in another format.

    Raises:
        RequestError: the name is none of a probe.
    """
    ending = {"precomputed": ".precomputed", "ome-zarr": ".ome.zarr"}[format]
    stem = map_path(atlas, name).stem
    return atlas.path / "maps" / f"{stem}{'.smooth' if smooth else ''}{ending}"
