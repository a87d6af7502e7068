"""What a stage reads: features, or the examples themselves."""

import dataclasses

from tltf.core.cache.source import FeatureSource
from tltf.core.graph import Cut


@dataclasses.dataclass(frozen=True)
class Feed:
    """What a stage reads.

    Args:
        train: Features of the training part; None for its examples.
        held: Features of the validation part; None for its examples.
        reason: How the features came about, or why there are none to train
            on.
    """

    train: FeatureSource | None = None
    held: FeatureSource | None = None
    reason: str = ""

    @property
    def start(self) -> Cut | None:
        """The cut at which the features begin, if there are any."""
        source = self.train or self.held
        return source and source.cut
