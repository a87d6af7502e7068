"""Keras callbacks that save a run between two steps, and go on from there."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from tltf.core.saves import Saved, Saves, assign


class Saver(keras.callbacks.Callback):
    """Saves a run between two steps, and leaves there if asked to.

    Args:
        saves: Says when, and writes.
        take: Called with epoch, steps taken in it and, where those are all,
            their figures; returns what is saved.
        steps: Steps of an epoch.
        metrics: What metrics held, to be put back when the first epoch has
            begun; None for none.
    """

    def __init__(
        self,
        saves: Saves,
        take: Callable[[int, int, dict | None], Saved],
        steps: int,
        metrics: Sequence[np.ndarray] | None,
    ):
        super().__init__()
        self._saves, self._take, self._steps = saves, take, steps
        self._metrics = metrics
        self._epoch, self._figures = 0, None

    def on_epoch_begin(self, epoch, logs=None):
        """Has metrics go on where they were."""
        self._epoch = epoch
        if self._metrics is not None:
            assign(self.model.metrics_variables, self._metrics, "the metrics")
            self._metrics = None

    def on_train_batch_end(self, batch, logs=None):
        """Saves within an epoch."""
        if batch + 1 < self._steps:
            self._save(self._epoch, batch + 1)
        else:
            # Validation is about to reset the metrics.
            self._figures = {name: float(logs[name]) for name in logs}

    def on_test_batch_end(self, batch, logs=None):
        """Leaves within validation."""
        if self._saves.interrupts.number is not None:
            self._save(self._epoch, self._steps, self._figures)

    def on_epoch_end(self, epoch, logs=None):
        """Saves between two epochs."""
        self._save(epoch + 1, 0)

    def _save(self, epoch, step, figures=None):
        if self._saves.is_due:
            done = self._saves.write(self._take(epoch, step, figures))
            self._saves.interrupts.leave(
                f" in epoch {epoch + 1}, after {step} of {self._steps} steps,"
                f" {done}"
            )


class FromStep(keras.callbacks.CallbackList):
    """Counts the batches of the first epoch on from where it was left.

    Args:
        callbacks: As for `CallbackList`.
        first_step: Steps that were taken already.
        model: The model that is fitted.
    """

    def __init__(self, callbacks, first_step: int, model: keras.Model):
        super().__init__(callbacks, add_history=True, model=model)
        self._first_step = first_step

    def on_train_batch_begin(self, batch, logs=None):
        """Passes it on, as the later batch that it is."""
        super().on_train_batch_begin(batch + self._first_step, logs)

    def on_train_batch_end(self, batch, logs=None):
        """Passes it on, as the later batch that it is."""
        super().on_train_batch_end(batch + self._first_step, logs)
