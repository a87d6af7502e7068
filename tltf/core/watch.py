"""Keras callbacks of the staged loop: good weights, progress, relay."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np

from tltf.core import plan
from tltf.core.history import History
from tltf.core.saves import Saved
from tltf.errors import TrainingError


class Weights:
    """Remembers weights of a stage, and puts them back.

    Args:
        variables: What the stage can change.
        values: Remembered already; default, the weights as they are now.
    """

    def __init__(
        self,
        variables: Sequence[keras.Variable],
        values: list[np.ndarray] | None = None,
    ):
        self._variables = list(variables)
        self._values = self._copy() if values is None else values

    def remember(self) -> None:
        """Takes the weights as they are now, in the room of the old ones."""
        for value, variable in zip(self._values, self._variables, strict=True):
            np.copyto(value, variable.numpy())

    def alias(self) -> "Weights":
        """Returns what remembers in the same room, until it is told apart."""
        return Weights(self._variables, self._values)

    def is_alias(self, other: "Weights") -> bool:
        """Whether it remembers in the same room as another."""
        return self._values is other._values

    @property
    def values(self) -> list[np.ndarray]:
        """What is remembered, in the order of the variables."""
        return self._values

    def restore(self) -> None:
        """Puts back the weights as they were remembered."""
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)

    @contextlib.contextmanager
    def put_in_place(self):
        """Has the remembered weights in the model for a while."""
        now = self._copy()
        self.restore()
        try:
            yield
        finally:
            for variable, value in zip(self._variables, now, strict=True):
                variable.assign(value)

    def _copy(self) -> list[np.ndarray]:
        return [np.array(variable.numpy()) for variable in self._variables]


class Watch(keras.callbacks.Callback):
    """Stops on NaN, keeps the best weights of a stage, stops early.

    Args:
        title: Names the stage in messages.
        variables: What the stage can change.
        monitor: The figure that should fall.
        patience: Epochs without improvement before it stops; None never
            stops.
    """

    # What a checkpoint holds of it, beside weights.
    _PLAIN = ("best_value", "best_epoch", "_epoch", "_without")

    def __init__(self, title, variables, monitor, patience):
        super().__init__()
        self._title, self._patience = title, patience
        self._monitor = monitor
        self._variables = variables
        self._good = Weights(variables)
        # One copy, as long as the last are the best.
        self.best = self._good.alias()
        self.best_value = math.inf
        self.best_epoch: int | None = None
        self._epoch = 0
        self._without = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the epoch, for messages."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Stops the run if the loss is no number."""
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self._good.restore()
            raise TrainingError(
                f"The loss became {loss} in {self._title}, epoch"
                f" {self._epoch + 1}, step {batch + 1}. The weights are those"
                " from before that epoch. Try a smaller `learning_rate` or a"
                " `warmup`, and look for NaN in the inputs."
            )

    def on_epoch_end(self, epoch, logs=None):
        """Keeps the best weights, and stops where patience ran out."""
        value = float(logs[self._monitor])
        if not math.isfinite(value):
            self._good.restore()
            raise TrainingError(
                f"{self._monitor} became {value} in {self._title}, epoch"
                f" {epoch + 1}. The weights are those from before that epoch."
                " Look for NaN in the validation data."
            )
        if value < self.best_value:
            self._good.remember()
            self.best = self._good.alias()
            self.best_value, self.best_epoch = value, epoch
            self._without = 0
            return
        if self.best.is_alias(self._good):
            self._good = Weights(self._variables)
        else:
            self._good.remember()
        self._without += 1
        if self._patience is not None and self._without >= self._patience:
            self.model.stop_training = True

    def take(self) -> Saved:
        """Returns what it knows, for a checkpoint."""
        state = {name: getattr(self, name) for name in self._PLAIN}
        arrays = {"good": self._good.values}
        if not self.best.is_alias(self._good):
            arrays["best"] = self.best.values
        return Saved(state, arrays)

    def put_back(self, saved: Saved) -> None:
        """Goes on from what `take` returned."""
        for name in self._PLAIN:
            setattr(self, name, saved.state[name])
        self._good = Weights(self._variables, saved.arrays["good"])
        self.best = self._good.alias()
        if "best" in saved.arrays:
            self.best = Weights(self._variables, saved.arrays["best"])


class Relay(keras.callbacks.Callback):
    """Shows the user's callbacks one training over all stages.

    They see the TransferModel, not the scaffold around it, and one beginning
    and one end, whatever the number of stages.

    Args:
        callbacks: The user's, wrapped in a list around the TransferModel.
        check: Called when they have begun an epoch, to see whether they
            changed what trains.
    """

    def __init__(
        self,
        callbacks: keras.callbacks.CallbackList,
        check: Callable[[], None],
    ):
        super().__init__()
        self._callbacks, self._check = callbacks, check

    def on_epoch_begin(self, epoch, logs=None):
        """Passes it on."""
        self._callbacks.on_epoch_begin(epoch, logs)
        self._check()

    def on_epoch_end(self, epoch, logs=None):
        """Passes it on, and stops where the user's callbacks ask to."""
        self._callbacks.on_epoch_end(epoch, dict(logs or {}))
        if self._callbacks.model.stop_training:
            self.model.stop_training = True

    def on_train_batch_begin(self, batch, logs=None):
        """Passes it on."""
        self._callbacks.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """Passes it on, and stops where the user's callbacks ask to."""
        self._callbacks.on_train_batch_end(batch, logs)
        if self._callbacks.model.stop_training:
            self.model.stop_training = True

    def on_test_begin(self, logs=None):
        """Passes it on."""
        self._callbacks.on_test_begin(logs)

    def on_test_end(self, logs=None):
        """Passes it on."""
        self._callbacks.on_test_end(logs)

    def on_test_batch_begin(self, batch, logs=None):
        """Passes it on."""
        self._callbacks.on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        """Passes it on."""
        self._callbacks.on_test_batch_end(batch, logs)


class Recorder(keras.callbacks.Callback):
    """Writes each epoch into the one history, with rate and time.

    Args:
        stage: The stage's name.
        schedule: The stage's learning rate.
        history: What it is added to.
    """

    def __init__(
        self,
        stage: str,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        history: History,
    ):
        super().__init__()
        self._stage, self._schedule = stage, schedule
        self._history = history
        self._started = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Adds the epoch."""
        seconds = time.perf_counter() - self._started
        self._history.add(self._stage, logs, self._rate(), seconds)

    def _rate(self) -> float:
        """The rate of the epoch's last step, which a callback may have set."""
        optimizer = self.model.optimizer
        if isinstance(plan.rate(self._schedule), float):
            # Under a strategy it is mirrored, which `float` does not take.
            return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
        return float(self._schedule(optimizer.iterations - 1))
