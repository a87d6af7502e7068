"""When a run is saved, and what it goes on from."""

import hashlib
import json
import time
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from absl import logging

from tltf.core.checkpoints import Checkpoints
from tltf.core.interrupts import Interrupts
from tltf.core.model import TransferModel
from tltf.core.run_folder import RunFolder
from tltf.core.splits import Splits
from tltf.core.stage import Stage

# Saving takes no more than this share of a run's time.
_SHARE = 0.02


class Saved(NamedTuple):
    """A checkpoint.

    Args:
        state: Plain data.
        arrays: Lists of arrays by name.
    """

    state: dict
    arrays: dict[str, list[np.ndarray]]


class Saves:
    """The checkpoints of one run.

    Args:
        folder: The run's; None saves nothing.
        every: Seconds between two checkpoints, more where saving would take
            over a fiftieth of the time; 0 saves after every step.
        interrupts: Signals that end the run at its next step.

    Attributes:
        folder: The run's.
    """

    def __init__(
        self, folder: RunFolder | None, every: float, interrupts: Interrupts
    ):
        self.folder, self.interrupts = folder, interrupts
        self._checkpoints = folder and Checkpoints(folder.checkpoints)
        self._every, self._next = every, time.monotonic() + every
        self._identity: dict[str, str] = {}

    def begin(self, identity: dict[str, str], resume: bool) -> Saved | None:
        """Returns what to go on from; None begins at the beginning.

        Args:
            identity: What must be the same for a run to be the same.
            resume: Whether to go on; if not, older checkpoints are removed.

        Raises:
            ValueError: What is there belongs to another run.
        """
        self._identity = identity
        if self._checkpoints is None:
            return None
        if not resume:
            self._checkpoints.clear()
            return None
        found = self._checkpoints.newest()
        if found is None:
            logging.info("There is no checkpoint yet: the run begins anew.")
            return None
        saved = Saved(*found)
        theirs = saved.state["identity"]
        differ = [name for name in identity if identity[name] != theirs[name]]
        if differ:
            raise ValueError(
                f"The run in {self._checkpoints.path.parent} cannot be resumed:"
                f" it was begun with other {', '.join(differ)}. Give what it"
                " was begun with (its settings.yaml says so), or name another"
                " folder."
            )
        return saved

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        if self._checkpoints is None:
            return False
        return (
            self.interrupts.number is not None or time.monotonic() >= self._next
        )

    def write(self, saved: Saved) -> str:
        """Writes a checkpoint. That it fails costs the checkpoint alone.

        Returns:
            Whether it was written, for a message.
        """
        began, done = time.monotonic(), "and saved"
        state = {"identity": self._identity} | saved.state
        try:
            self._checkpoints.save(state, saved.arrays)
        except OSError as error:
            done = "which could not be saved"
            logging.warning(
                "The run could not be saved (%s); it goes on, and what was"
                " saved before is still there.",
                error,
            )
        now = time.monotonic()
        pause = (now - began) / _SHARE if self._every else 0.0
        self._next = now + max(self._every, pause)
        return done

    def clear(self) -> None:
        """Removes the checkpoints of a run that came to its end."""
        if self._checkpoints is not None:
            self._checkpoints.clear()


def values(variables) -> list[np.ndarray]:
    """Returns arrays, also of variables that lie on several replicas."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assign(variables, values: Sequence[np.ndarray], whose: str) -> None:
    """Gives variables the values that were saved of them.

    Raises:
        ValueError: There are more or fewer of them, or of other shapes.
    """
    ours = [tuple(variable.shape) for variable in variables]
    theirs = [value.shape for value in values]
    if ours != theirs:
        raise ValueError(
            f"The checkpoint does not fit {whose}: it holds {len(theirs)}"
            f" arrays, {len(ours)} were expected. Another version of Keras may"
            " have written it."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def renamed(saved: Saved, model: TransferModel) -> Saved:
    """Puts a model's paths in place of those that it had when it was saved.

    Keras numbers what has no name, so that a model that is made again may
    have other paths, in the same order.
    """
    ours = [variable.path for variable in model.variables]
    names = dict(zip(saved.state["paths"], ours, strict=True))
    state = saved.state | {
        "paths": ours,
        "moved": [names[path] for path in saved.state["moved"]],
        "first_steps": _rekeyed(saved.state["first_steps"], names),
        "before": _rekeyed(saved.state["before"], names),
    }
    return Saved(state, saved.arrays)


def identity(
    model: TransferModel,
    splits: Splits,
    stages: Sequence[Stage],
    seed: int,
    replicas: int,
) -> dict[str, str]:
    """Says what makes a run the run that it is, a digest for each name."""
    parts = [
        [
            name,
            part.batch_size,
            hashlib.sha256(part.targets.tobytes()).hexdigest(),
        ]
        for name, part in splits.parts.items()
    ]
    # Keras numbers names anew in each process; their order is the model's.
    layers = [[list(v.shape), str(v.dtype)] for v in model.variables]
    return {
        "recipe": _digest([stage.to_dict() for stage in stages]),
        "data or batch size": _digest(parts),
        "model": _digest([layers, model.labels.get_config()]),
        "seed": str(seed),
        "number of replicas": str(replicas),
    }


def _rekeyed(values: dict, names: dict[str, str]) -> dict:
    return {names[path]: value for path, value in values.items()}


def _digest(content) -> str:
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
