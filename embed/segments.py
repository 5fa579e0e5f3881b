"""What is known of the segments near a place: where to look at them, which touch, their masks.

A segmentation may be far larger than memory, so it is never asked as a whole: a block of a few
hundred voxels an edge is read and surveyed, and everything is answered within it.
"""

import dataclasses
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from embed.errors import DataError
from embed.geometry import Box, Zyx, ZyxFloat
from embed.volume import Volume

# Depth and contacts need no finer grid than this, and a survey takes an eighth of the time.
_THINNED_NM = 20.0
# Segments nearer than this touch: many segmentations leave the membrane between them unlabelled.
_GAP_NM = 40.0
# Nodes kept of a segment: all distances from one of them are then found in microseconds.
_NODES = 1024
Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A block of a volume, the segments in it, and places to look at them.

    A node is such a place: a voxel deep in a segment whose field of view lies in the block.

    Attributes:
        box: the voxels of the block.
        voxel_size_nm: edge lengths of a voxel, ZYX.
        voxels: grey values.
        labels: which segment each voxel belongs to, counted from 1; 0 is none.
        nodes: voxels (ZYX), counted from the start of the block; those of a segment in a row.
        owner: index into `segments` of each node, rising.
        segments: ids of the segments that have nodes.
        touches: whether two of them touch.
    """

    box: Box
    voxel_size_nm: ZyxFloat
    voxels: Shaped[np.ndarray, "z y x"]
    labels: Shaped[np.ndarray, "z y x"]
    nodes: Int[np.ndarray, "n 3"]
    owner: Int[np.ndarray, " n"]
    segments: Shaped[np.ndarray, " m"]
    touches: Bool[np.ndarray, "m m"]

    @cached_property
    def _first(self) -> Int[np.ndarray, " bounds"]:
        """Where the nodes of each segment begin, and where the last ends."""
        return np.searchsorted(self.owner, np.arange(len(self.segments) + 1))

    @cached_property
    def _nm(self) -> Float[np.ndarray, "n 3"]:
        """The nodes in nm, which every distance is asked of."""
        return self.nodes * np.asarray(self.voxel_size_nm)

    @cached_property
    def extent_nm(self) -> Float[np.ndarray, " m"]:
        """Diagonal of the box around the nodes of each segment."""
        if not len(self.nodes):
            return np.zeros(0)
        begin = self._first[:-1]
        spread = np.maximum.reduceat(self._nm, begin) - np.minimum.reduceat(self._nm, begin)
        return np.linalg.norm(spread, axis=1)

    def anywhere(self, reach_nm: float, rng: np.random.Generator) -> int | None:
        """A node of a segment whose nodes extend so far: of each segment as often as of another.

        None where no segment does.
        """
        long = np.flatnonzero(self.extent_nm >= reach_nm)
        if not len(long):
            return None
        segment = rng.choice(long)
        return int(rng.integers(self._first[segment], self._first[segment + 1]))

    def along(self, node: int, apart_nm: Range, rng: np.random.Generator) -> int | None:
        """A node of the same segment so far away, `[from, to)`; None where there is none."""
        segment = self.owner[node]
        mine = np.arange(self._first[segment], self._first[segment + 1])
        found = self._at(node, apart_nm, mine)
        return int(rng.choice(found)) if len(found) else None

    def beside(self, node: int, apart_nm: Range, rng: np.random.Generator) -> int | None:
        """A node so far away in a segment that touches that of `node`; None where there is none."""
        others = np.flatnonzero(self.touches[self.owner[node]][self.owner])
        found = self._at(node, apart_nm, others)
        if not len(found):
            return None
        segment = rng.choice(np.unique(self.owner[found]))
        return int(rng.choice(found[self.owner[found] == segment]))

    def window(self, node: int, fov: Zyx) -> tuple[slice, slice, slice]:
        """The field of view around a node, as an index into `voxels` and `labels`."""
        z, y, x = (self.nodes[node] - np.asarray(fov) // 2).tolist()
        return Box.of_shape(fov, (z, y, x)).slices

    def _at(
        self, node: int, apart_nm: Range, among: Int[np.ndarray, " k"]
    ) -> Int[np.ndarray, " found"]:
        apart = self._nm[among] - self._nm[node]
        squared = np.einsum("nd,nd->n", apart, apart)
        return among[(squared >= apart_nm[0] ** 2) & (squared < apart_nm[1] ** 2)]


def survey(
    volume: Volume,
    segmentation: Volume,
    box: Box,
    fov: Zyx,
    *,
    depth_nm: float = 30.0,
    smallest_um3: float = 0.01,
) -> Neighbourhood:
    """Reads a block and finds the nodes and contacts of its segments; a function of its arguments.

    Args:
        volume: the grey values.
        segmentation: integer ids on the same grid, 0 for none.
        box: voxels of both, at least one field of view.
        fov: voxels of the fields of view, ZYX; the voxel at `fov // 2` is their middle.
        depth_nm: of the nodes below the surface of their segment.
        smallest_um3: segments with less than this in the block get no nodes.

    Raises:
        DataError: a chunk is corrupt or cannot be fetched.
    """
    labels, ids = numbered(segmentation.read(box))
    size = np.asarray(volume.frame.voxel_size_nm)
    step = np.maximum(1, np.rint(_THINNED_NM / size)).astype(int)
    thin = labels[:: step[0], :: step[1], :: step[2]]
    volumes_um3 = np.bincount(thin.ravel(), minlength=len(ids)) * np.prod(step * size) * 1e-9
    large = (volumes_um3 >= smallest_um3) & (np.arange(len(ids)) > 0)
    deep = large[thin]
    if deep.any():
        deep &= depth(thin, step * size, depth_nm) >= depth_nm
    nodes = np.argwhere(deep) * step
    starts = nodes - np.asarray(fov) // 2
    nodes = nodes[((starts >= 0) & (starts + fov <= labels.shape)).all(axis=1)]
    nodes, owner, kept = _by_segment(nodes, labels[tuple(nodes.T)])
    return Neighbourhood(
        box=box,
        voxel_size_nm=volume.frame.voxel_size_nm,
        voxels=volume.read(box),
        labels=labels,
        nodes=nodes,
        owner=owner,
        segments=ids[kept],
        touches=_touching(thin, kept, len(ids), step * size),
    )


def numbered(
    ids: Shaped[np.ndarray, "z y x"],
) -> tuple[Shaped[np.ndarray, "z y x"], Shaped[np.ndarray, " count"]]:
    """Labels counted from 1, in the smallest type that holds them, and the id of each.

    Label 0 and id 0 are no segment. Sorts runs of equal voxels instead of voxels, which takes a
    tenth of the time.
    """
    flat = ids.ravel()
    begin = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    values, inverse = np.unique(flat[begin], return_inverse=True)
    number = np.where(values == 0, 0, np.cumsum(values != 0))
    found = np.concatenate([np.zeros(1, ids.dtype), values[values != 0]])
    runs = number[inverse].astype(np.min_scalar_type(len(found)))
    return np.repeat(runs, np.diff(begin, append=flat.size)).reshape(ids.shape), found


def depth(
    labels: Shaped[np.ndarray, "z y x"], voxel_size_nm: Shaped[np.ndarray, "3"], matters_nm: float
) -> Float[np.ndarray, "z y x"]:
    """Distance of each voxel to the nearest one on a border between segments, in nm.

    The edge of the block is no border. Nor are two voxels along an axis whose step is larger than
    `matters_nm`: from one thick section to the next every thin process moves to another place.
    """
    from scipy import ndimage

    inner = labels != 0
    for axis in np.flatnonzero(np.asarray(voxel_size_nm) <= matters_nm):
        low, high = _offset(int(axis), 1)
        differs = labels[low] != labels[high]
        inner[low] &= ~differs
        inner[high] &= ~differs
    if inner.all():
        return np.full(labels.shape, np.inf)
    found: np.ndarray = ndimage.distance_transform_edt(inner, sampling=voxel_size_nm)
    return found


def of_centre(labels: Shaped[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """The mask of the segment that the voxel in the middle of a field of view belongs to.

    Raises:
        DataError: that voxel belongs to none.
    """
    z, y, x = (n // 2 for n in labels.shape)
    if labels[z, y, x] == 0:
        raise DataError("the voxel in the middle of a field of view belongs to no segment")
    return labels == labels[z, y, x]


def masked_to_centre(labels: Shaped[np.ndarray, "z y x"]) -> Bool[np.ndarray, "z y x"]:
    """As `of_centre`; nothing where the voxel in the middle belongs to no segment."""
    z, y, x = (n // 2 for n in labels.shape)
    return (labels == labels[z, y, x]) & (labels[z, y, x] != 0)


def moved(mask: Bool[np.ndarray, "z y x"], by: int) -> Bool[np.ndarray, "z y x"]:
    """A mask with its edge moved out by `by` voxels along each axis, or in where `by` < 0.

    Voxels count as neighbours across their faces. What lies outside the array moves no edge.
    """
    inside = mask if by >= 0 else ~mask
    for _ in range(abs(by)):
        grown = inside.copy()
        for axis in range(3):
            low, high = _offset(axis, 1)
            grown[low] |= inside[high]
            grown[high] |= inside[low]
        inside = grown
    return inside if by >= 0 else ~inside


def _by_segment(
    nodes: Int[np.ndarray, "n 3"], label: Shaped[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, "k 3"], Int[np.ndarray, " k"], Int[np.ndarray, " m"]]:
    """Nodes in the order of their segments, at most `_NODES` of each; owners; the labels owned."""
    mixed = np.random.default_rng(0).permutation(len(nodes))
    order = mixed[np.argsort(label[mixed], kind="stable")]
    kept, first, owner = np.unique(label[order], return_index=True, return_inverse=True)
    few = np.arange(len(order)) - first[owner] < _NODES if len(order) else np.zeros(0, bool)
    return nodes[order][few], owner[few].astype(np.int64), kept.astype(np.int64)


def _touching(
    labels: Shaped[np.ndarray, "z y x"],
    kept: Int[np.ndarray, " m"],
    count: int,
    voxel_size_nm: Shaped[np.ndarray, "3"],
) -> Bool[np.ndarray, "m m"]:
    """Whether two of the `kept` labels come within `_GAP_NM`, or a voxel, along an axis."""
    index = np.full(count, len(kept))
    index[kept] = np.arange(len(kept))
    found = np.zeros((len(kept) + 1, len(kept) + 1), bool)  # the last stands for all others
    for axis, size in enumerate(voxel_size_nm):
        for steps in range(1, max(1, int(_GAP_NM / size)) + 1):
            low, high = _offset(axis, steps)
            differs = labels[low] != labels[high]
            found[index[labels[low][differs]], index[labels[high][differs]]] = True
    found |= found.T
    return found[:-1, :-1] & ~np.eye(len(kept), dtype=bool)


def _offset(axis: int, steps: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Indices of all voxels but the last `steps` along an axis, and of all but the first."""
    low = tuple(slice(None, -steps) if a == axis else slice(None) for a in range(3))
    high = tuple(slice(steps, None) if a == axis else slice(None) for a in range(3))
    return low, high
