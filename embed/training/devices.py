"""The devices that one training runs on: a mesh along the crops of a step.

Parameters are the same on every device; each device holds the views of its share of the crops. The
hosts of a cluster join by `jax.distributed`, and one mesh then spans them all.
"""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PyTree

from embed.errors import ConfigError
from embed.training.sampling import Batch

CROPS = "crop"


def make_mesh(crops: int) -> Mesh | None:
    """All devices of all hosts, or None if there is one.

    Args:
        crops: pairs of blocks per step, which the devices share out evenly.

    Raises:
        ConfigError: they cannot be shared out evenly.
    """
    devices = jax.devices()
    if len(devices) == 1:
        return None
    if crops % len(devices):
        more = -(-crops // len(devices)) * len(devices)
        raise ConfigError(
            f"{crops} crops a step cannot be shared out evenly among {len(devices)} devices; use "
            f"--sampling.crops {more}"
        )
    return Mesh(np.asarray(devices), (CROPS,))


def own_crops(crops: int, mesh: Mesh | None) -> range:
    """The crops of a step that the devices of this host hold."""
    if mesh is None:
        return range(crops)
    share = crops // jax.process_count()
    return range(jax.process_index() * share, (jax.process_index() + 1) * share)


def spread(batch: Batch, mesh: Mesh | None) -> Batch:
    """A batch as the step takes it: views spread over the devices, the rest on each of them.

    Args:
        batch: the views of `own_crops` and what is known of all crops.
        mesh: of `make_mesh`.
    """
    if mesh is None:
        return batch
    over_crops = NamedSharding(mesh, P(None, CROPS))
    views, masks = jax.tree.map(
        lambda own: jax.make_array_from_process_local_data(over_crops, own),
        (batch.views, batch.masks),
    )
    return Batch(views, on_every_device(batch.groups, mesh), masks)


def on_every_device(tree: PyTree[Array], mesh: Mesh | None) -> PyTree[Array]:
    """The same values on every device of every host; each host must bring them."""
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, P())
    return jax.tree.map(
        lambda value: jax.make_array_from_process_local_data(everywhere, np.asarray(value)), tree
    )
