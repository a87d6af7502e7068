"""What the stages of a run have in common, and what outlives each."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tltf.core import passes
from tltf.core.history import History
from tltf.core.model import TransferModel
from tltf.core.random_state import is_random_state, seed_generators
from tltf.core.run import StageResult
from tltf.core.saves import Saved, Saves, assign, values
from tltf.core.splits import Splits
from tltf.core.stage import Stage

_PLAIN = (bool, int, float, str, type(None))


@dataclasses.dataclass
class RunState:
    """A run, as one stage hands it to the next.

    Args:
        model: Trained in place, in the strategy's scope.
        splits: Training and validation data.
        stages: What is done.
        seed: Of the order of examples, augmentation and dropout.
        history: Of all epochs.
        users: The user's callbacks, in a list around the model.
        saves: Where checkpoints go.
        pad: Whether several replicas share a batch.
        verbose: Shows progress.
        optimizer: Of the stage before; None before the first.
        first_steps: The step at which each variable began to train, by path.
        best_loss: The least validation loss of the stages before.
        results: The stages before.
        moved: Paths of all variables that some stage has trained.
    """

    model: TransferModel
    splits: Splits
    stages: Sequence[Stage]
    seed: int
    history: History
    users: keras.callbacks.CallbackList
    saves: Saves
    pad: bool = False
    verbose: bool = False
    optimizer: keras.optimizers.Optimizer | None = None
    first_steps: dict[str, int] = dataclasses.field(default_factory=dict)
    best_loss: float = math.inf
    results: list[StageResult] = dataclasses.field(default_factory=list)
    moved: set[str] = dataclasses.field(default_factory=set)

    @property
    def step(self) -> int:
        """How many steps were taken so far."""
        if self.optimizer is None:
            return 0
        return int(self.optimizer.iterations.numpy())

    @property
    def epochs(self) -> int:
        """How many epochs all stages have."""
        return sum(stage.epochs for stage in self.stages)

    @functools.cached_property
    def held(self) -> tf.data.Dataset:
        """Validation batches, for stages that do not read features."""
        return passes.remembered(
            self.splits.validation.one_pass(
                preprocess=self.model.preprocess, pad=self.pad
            )
        )

    def take(self) -> Saved:
        """Returns what it knows, for a checkpoint."""
        moving, still = self._sides()
        state = {
            "paths": [variable.path for variable in self.model.variables],
            "first_steps": self.first_steps,
            "best_loss": self.best_loss,
            "moved": sorted(self.moved),
            "history": self.history.rows,
            "results": [
                result.to_dict() | {"stage": number}
                for number, result in enumerate(self.results)
            ],
            "stop_training": self.model.stop_training,
        }
        arrays = {"moving": values(moving), "still": values(still)}
        for i, callback in enumerate(self.users.callbacks):
            state[f"callback_{i}"], arrays[f"callback_{i}"] = _of_user(callback)
        return Saved(state, arrays)

    def put_back(self, saved: Saved) -> None:
        """Goes on from what `take` returned, of a run as it is configured."""
        state, arrays = saved
        self.first_steps = dict(state["first_steps"])
        self.best_loss = state["best_loss"]
        self.moved = set(state["moved"])
        self.history.put_back(state["history"])
        self.results = [
            StageResult.from_dict(result, self.stages[result["stage"]])
            for result in state["results"]
        ]
        moving, still = self._sides()
        assign(moving, arrays["moving"], "the model")
        assign(still, arrays["still"], "the model")
        for i, callback in enumerate(self.users.callbacks):
            plain = state.get(f"callback_{i}", {})
            lists = arrays.get(f"callback_{i}", [])
            _give_user(callback, plain, lists)
        self.model.stop_training = state["stop_training"]

    def seed_generators(self) -> None:
        """Sets the state of all that is random in the model."""
        seed_generators(self.model, self.seed)

    def _sides(self) -> tuple[list, list]:
        """The model's variables that may have changed, and those that not.

        The latter are the same in every checkpoint, which is written once.
        """
        sides = [], []
        for variable in self.model.variables:
            may = variable.path in self.moved or is_random_state(variable)
            sides[0 if may else 1].append(variable)
        return sides


def _of_user(callback) -> tuple[dict, list[np.ndarray]]:
    """What can be saved of a callback: plain attributes and its best weights.

    Keras' own keep their state so (EarlyStopping, ReduceLROnPlateau,
    ModelCheckpoint); `params` and what begins with `_` is Keras' to set.
    """
    own = {
        name: value
        for name, value in vars(callback).items()
        if not name.startswith("_") and name != "params"
    }
    plain = {n: _python(v) for n, v in own.items() if _is_plain(v)}
    weights = own.get("best_weights")
    return plain, list(weights) if isinstance(weights, list) else []


def _give_user(callback, plain: dict, weights: list) -> None:
    for name, value in plain.items():
        setattr(callback, name, value)
    if weights:
        callback.best_weights = weights


def _is_plain(value) -> bool:
    return isinstance(value, (*_PLAIN, np.number, np.bool_))


def _python(value):
    return value.item() if isinstance(value, np.generic) else value
