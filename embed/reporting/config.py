"""What a training run reports."""

import dataclasses

from embed.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """What a run reports about itself; nothing here changes what is learnt.

    Attributes:
        places: fixed places of the training volumes on which every saved state is looked at; 0 for
            none, and then there are no figures of embeddings, no sheets and no watch for collapse.
        queries: rows of the sheet of neighbours that goes with every saved state; 0 for no sheets.
        labels: path or URL of a label volume on the grid of the first training volume, a class per
            voxel. Every saved state is scored on it; nothing is learnt from it.
        unlabelled: value that stands for no label, such as 0; by default every value is a class.
        tensorboard: write event files for TensorBoard.
    """

    places: int = 4096
    queries: int = 6
    labels: str | None = None
    unlabelled: int | None = None
    tensorboard: bool = True

    def __post_init__(self) -> None:
        if min(self.places, self.queries) < 0:
            raise ConfigError(f"places and queries of a report are at least 0: {self}")
        if self.labels is not None and not self.places:
            raise ConfigError("labels are scored where places are watched: leave places above 0")
        if self.unlabelled is not None and self.labels is None:
            raise ConfigError("unlabelled is a value of a label volume: name one with labels")
