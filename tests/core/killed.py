"""A run to be killed, which writes down what it is doing."""

import os
import pathlib

import keras
import numpy as np

from tests.conftest import CLASSES, tiny_backbone, tiny_pictures
from tltf.core import recipes
from tltf.core.cache.filling import Filling
from tltf.core.checkpoints import Checkpoints
from tltf.core.fit import fit
from tltf.core.model import TransferModel
from tltf.core.run_folder import RunFolder
from tltf.core.splits import Splits

BEGUN = "begun"


def train(folder: str, traced: str, save_every: float = 0.0) -> None:
    """Trains in a folder, from where it was left, and keeps the outcome.

    Args:
        folder: The run folder.
        traced: A file that each thing that is begun is written to.
        save_every: As for `fit`.
    """
    trace = os.open(traced, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def note(what):
        os.write(trace, f"{what}\n".encode())

    _noted(Checkpoints, "save", "a checkpoint is written", note)
    _noted(Filling, "run", "features are computed", note)
    _noted(RunFolder, "save_model", "a model is saved", note)
    splits = Splits.from_arrays(
        tiny_pictures(36), classes=CLASSES, batch_size=8
    )
    keras.utils.set_random_seed(os.getpid())
    model = TransferModel(
        tiny_backbone(dropout=0.3), CLASSES, head="mlp", dropout=0.3
    )
    if not RunFolder(folder).checkpoints.exists():
        # Only a run from the beginning may rest on what it was given.
        keras.utils.set_random_seed(0)
        model = TransferModel(
            tiny_backbone(dropout=0.3), CLASSES, head="mlp", dropout=0.3
        )
    note(BEGUN)
    run = fit(
        model,
        splits,
        recipe=recipes.lp_ft(2, 2, learning_rate=1e-2),
        callbacks=[_Noting(note)],
        model_dir=folder,
        cache="disk",
        resume=True,
        save_every=save_every,
    )
    arrays = [v.numpy() for v in run.model.variables]
    history = [
        [row[name] for name in sorted(row.keys() - {"stage", "seconds"})]
        for row in run.rows
    ]
    np.savez(pathlib.Path(folder, "outcome.npz"), history, *arrays)


class _Noting(keras.callbacks.Callback):
    def __init__(self, note):
        super().__init__()
        self._note = note

    def on_train_batch_begin(self, batch, logs=None):
        self._note("a step is taken")

    def on_test_begin(self, logs=None):
        self._note("validation")

    def on_epoch_end(self, epoch, logs=None):
        self._note("an epoch ends")


def _noted(owner, name, what, note) -> None:
    inner = getattr(owner, name)

    def noted(*args, **kwargs):
        note(what)
        done = inner(*args, **kwargs)
        note(f"after {what}")
        return done

    setattr(owner, name, noted)
