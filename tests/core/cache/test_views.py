"""Augmented views: computed once, read in turn, never seen by validation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, tiny_pictures
from tests.core.cache.counting import (
    TESTED,
    counted_model,
    fed,
    rows_of,
    with_train,
)
from tltf.core.augment import Augment
from tltf.core.fit import fit
from tltf.core.labels import Labels
from tltf.core.recipes import gradual_unfreezing
from tltf.core.split import Split
from tltf.core.splits import Splits
from tltf.core.stage import Stage

VIEWS = 3


class Recorder(keras.layers.Layer):
    """An augmentation that notes the batches that it is given."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = 0

    def call(self, images, training=True):
        def count(size):
            self.seen += int(size)
            return np.int32(0)

        counted = tf.numpy_function(count, [tf.shape(images)[0]], tf.int32)
        with tf.control_dependencies([counted]):
            return tf.identity(images)


def test_fresh_augmentation_is_not_cached_and_says_why(splits):
    run = fit(counted_model(), splits, Stage(0, 2, augment="light"))
    assert not run.stages[0].cached
    assert "fresh in every epoch" in run.stages[0].notes[0]
    assert "views=4" in run.stages[0].notes[0]


def test_each_view_is_computed_once(splits):
    stage = Stage(0, 7, augment="light", views=VIEWS)
    rows = rows_of(lambda: fit(counted_model(), splits, stage))
    size = VIEWS * len(splits.train) + len(splits.validation)
    assert rows == size + 2 * TESTED


def test_validation_is_never_augmented(splits):
    noted = Recorder()
    stage = Stage(0, 4, augment=noted, views=VIEWS)
    run = fit(counted_model(), splits, stage)
    assert noted.seen == VIEWS * len(splits.train)
    # The head's loss is that of the pictures as they are.
    run.model.compile(loss="categorical_crossentropy")
    loss = run.model.evaluate(splits.validation.one_pass(), verbose=0)
    assert run.history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)


def views_by_hand(splits, layers, seed):
    """Views `[views, size, ...]` and their targets, one batch at a time."""
    augment, images, targets = Augment.of(layers), [], []
    step = 0
    for _ in range(VIEWS):
        for batch, labels in splits.train.batches():
            made = augment(
                tf.cast(batch, tf.float32),
                splits.labels.encode(labels),
                seed,
                tf.constant(step, tf.int64),
            )
            images.append(made[0].numpy())
            targets.append(made[1].numpy())
            step += 1
    size = len(splits.train)
    return [
        np.concatenate(values).reshape(VIEWS, size, *values[0].shape[1:])
        for values in (images, targets)
    ]


@pytest.mark.parametrize("mixes", [False, True], ids=["flip", "mix-up"])
def test_epochs_read_the_views_in_turn(mixes):
    """As training without cache, one epoch at a time, on views by hand."""
    images, labels = tiny_pictures(22)
    kind = Labels(CLASSES, "multi_label" if mixes else "categorical")
    splits = Splits.from_arrays(
        (images.astype("float32"), np.eye(3)[labels] if mixes else labels),
        classes=kind,
        batch_size=5,
    )

    def layers():
        mixing = [keras.layers.MixUp(alpha=0.4)] if mixes else []
        shift = keras.layers.RandomTranslation(0.3, 0.3)
        return [keras.layers.RandomFlip(), shift, *mixing]

    stage = Stage(0, 5, 1e-2, optimizer="sgd", augment=layers(), views=VIEWS)
    ours = counted_model(classes=kind)
    run = fit(ours, splits, stage, seed=4)
    assert run.stages[0].cached
    theirs = counted_model(classes=kind)
    theirs.unfreeze(0)
    theirs.compile(keras.optimizers.SGD(1e-2, 0.9), type(kind.loss())())
    views, targets = views_by_hand(splits, layers(), seed=4)
    for epoch in range(5):
        view = Split(
            views[epoch % VIEWS],
            targets[epoch % VIEWS],
            Labels(CLASSES, "multi_label"),
            batch_size=5,
        )
        theirs.fit(
            view.passes(seed=4, first_epoch=epoch),
            steps_per_epoch=view.steps,
            shuffle=False,
            verbose=0,
        )
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_head_of_gradual_unfreezing_trains_on_clean_examples(splits):
    clean, augmented = (
        fit(counted_model(), splits, gradual_unfreezing(1, augment=augment))
        for augment in ("none", "light")
    )
    assert [stage.cached for stage in augmented.stages] == [True, False]
    losses = [run.history["loss"] for run in (clean, augmented)]
    assert losses[0][0] == losses[1][0]
    assert losses[0][1] != losses[1][1]


def test_views_are_made_for_the_head_of_gradual_unfreezing_too(splits):
    stages = gradual_unfreezing(1, augment="light", views=2)
    rows = rows_of(lambda: fit(counted_model(), splits, stages))
    size = 2 * len(splits.train) + len(splits.validation)
    assert rows == size + 2 * TESTED


@pytest.mark.parametrize(
    ("change", "is_known"),
    [
        ({}, True),
        ({"seed": 1}, False),
        ({"views": 2}, False),
        ({"factor": 0.2}, False),
        ({"batch_size": 5}, False),
    ],
    ids=str,
)
def test_a_later_run_finds_the_same_views(splits, change, is_known, tmp_path):
    def once(factor=0.1, views=VIEWS, seed=0, batch_size=8):
        shift = keras.layers.RandomTranslation(factor, factor)
        stage = Stage(0, 5, augment=shift, views=views)
        given = with_train(splits, batch_size=batch_size)
        return fed(counted_model(), given, stage, folder=tmp_path, seed=seed)

    once()
    _, rows = once(**change)
    views = change.get("views", VIEWS)
    assert rows == (0 if is_known else views * len(splits.train) + TESTED)


def test_targets_of_views_keep_their_precision(splits):
    """Half precision is for features; values to predict are kept."""
    labels = Labels(("price",), "regression")
    prices = np.linspace(100_000, 100_001, 36).astype("float32")[:, None]
    splits = Splits.from_arrays(
        (tiny_pictures()[0], prices), classes=labels, batch_size=8
    )
    feed, _ = fed(
        counted_model(classes=labels),
        splits,
        Stage(0, 5, augment="light", views=2),
        folder=None,
        dtype="float16",
    )
    *features, targets = feed.train.table.arrays
    assert features[0].dtype == np.float16
    np.testing.assert_array_equal(
        targets, np.tile(splits.train.targets, (2, 1))
    )
