"""What came out of a fit: the model, one history, its stages."""

import dataclasses

from tltf.core.stage import Stage


@dataclasses.dataclass(frozen=True)
class StageResult:
    """One stage, as it went.

    Args:
        stage: What was asked.
        first_epoch: Number of its first epoch in the history, from 0.
        epochs: How many there were.
        best_epoch: Its epoch of the lowest validation loss, in the history.
        blocks: The blocks that trained, the head among them.
        learned: How many variables the optimizer changed.
        carried: How many optimizer slots came from the stage before.
        still: How many variables were proved not to have moved.
        silent: Biases that got no gradient, by path.
        seconds: Wall time, tracing included.
        cached: Whether it trained on features that were computed once.
        solved: Whether its head was solved, in place of epochs.
        notes: What was decided on the way.
    """

    stage: Stage
    first_epoch: int
    epochs: int
    best_epoch: int | None
    blocks: tuple[str, ...]
    learned: int
    carried: int
    still: int
    silent: tuple[str, ...]
    seconds: float
    cached: bool = False
    solved: bool = False
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        """Returns plain data."""
        plain = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        return plain | {"stage": self.stage.to_dict()}

    @classmethod
    def from_dict(cls, plain: dict, stage: Stage) -> "StageResult":
        """Makes it again from `to_dict`, whose lists may have been tuples."""
        lists = {n: tuple(v) for n, v in plain.items() if isinstance(v, list)}
        return cls(**plain | lists | {"stage": stage})


@dataclasses.dataclass(frozen=True)
class Run:
    """What `tltf.fit` gives back.

    Args:
        model: The trained `TransferModel`, the one that was given.
        history: Figures by name, a value for each epoch over all stages.
        stages: The stages in their order.
        seed: Of the order of examples, augmentation and dropout.
        rows: The same history, a dict for each epoch.

    Example:
    >>> run = tltf.fit(model, splits, recipe="lp_ft")
    >>> run.history["val_accuracy"][-1]
    """

    model: object
    history: dict[str, list[float]]
    stages: tuple[StageResult, ...]
    seed: int
    rows: tuple[dict, ...] = ()

    @property
    def epoch(self) -> list[int]:
        """The epochs' numbers, as `keras.callbacks.History` has them."""
        return list(range(len(self.rows)))

    @property
    def boundaries(self) -> list[tuple[str, int]]:
        """Each stage's name and the number of its first epoch."""
        return [(s.stage.name, s.first_epoch) for s in self.stages]
