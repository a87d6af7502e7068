"""The door to training: what goes together is checked, then trained."""

import contextlib
import dataclasses
import math
import os
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tltf.core import plan, recipes
from tltf.core import strategy as strategies
from tltf.core.augment import Augment
from tltf.core.cache.settings import CacheSettings
from tltf.core.interrupts import Interrupts
from tltf.core.loop import StagedLoop
from tltf.core.model import TransferModel, check_kinds
from tltf.core.optimizer import make_optimizer
from tltf.core.preprocess import ImagePreprocess
from tltf.core.run import Run
from tltf.core.run_folder import RunFolder
from tltf.core.saves import Saves
from tltf.core.splits import Splits
from tltf.core.stage import Stage
from tltf.errors import DataError


def fit(
    model: TransferModel,
    splits: Splits,
    recipe: str | Stage | Sequence[Stage] = "lp_ft",
    *,
    strategy: str | tf.distribute.Strategy | None = "auto",
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    model_dir: str | pathlib.Path | RunFolder | None = None,
    cache: str = "auto",
    cache_memory: int | str | None = None,
    cache_dtype: str = "float32",
    cache_dir: str | pathlib.Path | None = None,
    resume: bool = False,
    save_every: float = 60.0,
    verbose: bool = False,
) -> Run:
    """Trains a model in stages.

    Each stage freezes, compiles and fits anew; optimizer moments and step
    count of what goes on training are carried over, and an audit proves by
    hashing that what should move moved and nothing else did.

    Args:
        model: Trained in place.
        splits: Training and validation data.
        recipe: A recipe's name, or stages. See `tltf.recipes`.
        strategy: `"auto"`, `"mirrored"`, `"one_device:GPU:0"` or a
            `tf.distribute.Strategy`. The batch size of `splits` is global.
        seed: Of the order of examples, augmentation and dropout.
        callbacks: Keras callbacks. They see one training over all stages, and
            the TransferModel as their model.
        model_dir: Run folder for `history.csv`, `best.keras`, `last.keras`
            and, until the run is finished, `checkpoints`; None writes
            nothing. With it, Ctrl-C and SIGTERM finish the step, save and
            raise `Interrupted`.
        cache: Where features of what is frozen lie, so that they are computed
            once: `"auto"` (memory, else disk where that pays, else nowhere),
            `"memory"`, `"disk"` or `"none"`.
        cache_memory: Bytes that features may take in memory, or such as
            `"2GB"`; default, a quarter of what is free.
        cache_dtype: `"float16"` stores features in half the room. They then
            have 11 bits in place of 24, about three digits.
        cache_dir: Where features are kept for a later run on the same data
            and weights; default, `cache` in the run folder.
        resume: Goes on where a run in `model_dir` was stopped or killed, in
            the middle of an epoch if need be, to the weights and the history
            that it would have come to. Begins anew where nothing was saved.
        save_every: Seconds between two checkpoints, more where to save would
            take over a fiftieth of the time; 0 saves after every step.
        verbose: Shows a line an epoch, and a bar on a terminal.

    Returns:
        The `Run`: history over all stages, and how each went.

    Raises:
        ValueError: Model, splits and recipe do not go together, or not with
            the run that is to be resumed.
        Interrupted: Ctrl-C or SIGTERM came.
        DataError: The data are not what the model takes.
        AuditError: A frozen variable moved, or an unfrozen one did not.
        TrainingError: The loss became NaN or infinite. The weights are then
            the last good ones.

    Example:
    >>> run = tltf.fit(model, splits, recipe=tltf.recipes.lp_ft(epochs=3))
    """
    stages = recipes.of(recipe)
    strategy = strategies.resolve(strategy)
    _check(model, splits, stages, strategy)
    _check_callbacks(callbacks, stages)
    folder = model_dir
    if isinstance(model_dir, (str, os.PathLike)):
        folder = RunFolder(model_dir)
    settings = CacheSettings.of(
        cache,
        cache_memory,
        cache_dtype,
        cache_dir,
        folder and folder.path,
    )
    if resume and folder is None:
        raise ValueError("`resume` needs the `model_dir` of the run.")
    interrupts = Interrupts()
    saves = Saves(folder, save_every, interrupts)
    with contextlib.ExitStack() as held:
        if folder is not None:
            held.enter_context(folder.lock())
            held.enter_context(interrupts)
        working = held.enter_context(_in_scope(model, strategy))
        loop = StagedLoop(
            working, splits, stages, strategy, settings, seed, saves, verbose
        )
        run = loop.run(callbacks, resume)
        # One that came after the last step is not to be lost.
        interrupts.leave()
        # Who owns the folder may have more to do, for which a run that is
        # killed has to be resumed.
        if folder is not model_dir:
            saves.clear()
    return dataclasses.replace(run, model=model)


def _check(model, splits, stages, strategy) -> None:
    """Finds what does not fit together before anything is trained."""
    for stage in stages:
        model.unfrozen(stage.unfreeze)
        Augment.of(stage.augment)
        make_optimizer(stage.optimizer, stage.learning_rate)
    if splits.labels.kind != model.labels.kind:
        raise ValueError(
            f"The model predicts {model.labels.kind} labels, the data have"
            f" {splits.labels.kind} ones. Make the model with"
            " `classes=splits.labels`."
        )
    if splits.classes != model.classes:
        raise ValueError(
            f"The model's classes are {model.classes}, the data's"
            f" {splits.classes}. Make the model with `classes=splits.classes`."
        )
    for stage in stages:
        plan.class_weights(splits, stage)
    replicas = strategy.num_replicas_in_sync
    if splits.train.batch_size % replicas:
        raise ValueError(
            f"`batch_size` must be a multiple of the {replicas} replicas."
            f" Received: {splits.train.batch_size}"
        )
    _agree_on_preprocess(model, splits)
    _check_pixels(model, splits)


def _check_callbacks(callbacks, stages) -> None:
    """A callback cannot set a rate that a schedule sets."""
    setters = (
        keras.callbacks.LearningRateScheduler,
        keras.callbacks.ReduceLROnPlateau,
    )
    named = [type(c).__name__ for c in callbacks if isinstance(c, setters)]
    moving = [s for s in stages if s.schedule != "constant" or s.warmup]
    if named and moving:
        raise ValueError(
            f"{named[0]} sets the learning rate, which in stage"
            f" '{moving[0].name}' follows schedule={moving[0].schedule!r} and"
            f" warmup={moving[0].warmup}. Use one or the other."
        )


def _agree_on_preprocess(model, splits) -> None:
    """The model is served with the preprocessing it was trained with."""
    ours, theirs = model.preprocess, splits.train.preprocess
    check_kinds(model, splits.train)
    if theirs is None or ours == theirs:
        return
    sizes = [getattr(p, "image_size", None) for p in (ours, theirs)]
    if ours is not None and sizes[0] != sizes[1]:
        raise ValueError(
            f"The model takes pictures of {sizes[0]}, the data are loaded"
            f" with {sizes[1]}. Give `image_size` the same value in"
            " `datasets.load` and in `backbones.load`."
        )
    model.preprocess = theirs


def _check_pixels(model, splits) -> None:
    """Notices pictures that were scaled already: the model does that."""
    if not isinstance(model.preprocess, ImagePreprocess):
        return
    size = min(splits.train.batch_size, len(splits.train))
    first = splits.train.take(np.arange(size))
    images, _ = next(iter(first.batches(model.preprocess)))
    expected = model.input_shape[1:]
    if images.shape[1:].rank != 3 or any(
        want not in (None, have)
        for want, have in zip(expected, images.shape[1:], strict=True)
    ):
        raise DataError(
            f"The model takes pictures of shape {tuple(expected)}, the data"
            f" have {tuple(images.shape[1:])}."
        )
    low, high = float(tf.reduce_min(images)), float(tf.reduce_max(images))
    if not math.isfinite(low) or not math.isfinite(high):
        raise DataError("The first training batch has pixels that are NaN.")
    if images.dtype.is_floating and high <= 1.0 and low < high:
        raise DataError(
            f"The first training batch has pixels from {low:.2f} to"
            f" {high:.2f}; 0..255 was expected, because normalisation is"
            " inside the model. Give the pictures unscaled (times 255)."
        )


@contextlib.contextmanager
def _in_scope(model: TransferModel, strategy: tf.distribute.Strategy):
    """The one place where a strategy's scope is entered.

    Yields:
        The model itself, or under a strategy a twin whose variables belong to
        it; the weights are copied back, also when training fails.
    """
    if strategy is tf.distribute.get_strategy():
        yield model
        return
    with strategy.scope():
        twin = TransferModel.from_config(model.get_config())
        twin.set_weights(model.get_weights())
        try:
            yield twin
        finally:
            values = twin.get_weights()
    model.set_weights(values)
