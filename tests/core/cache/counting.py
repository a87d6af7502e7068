"""A model that counts the examples that pass through its frozen part."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tests.conftest import CLASSES
from tltf.core.backbone import Backbone, blocks_by_start
from tltf.core.cache.cache import FeatureCache
from tltf.core.cache.settings import CacheSettings
from tltf.core.model import TransferModel
from tltf.core.preprocess import ImagePreprocess
from tltf.core.stage import Stage

# The head alone trains.
HEAD = Stage(0, 3)
# Two examples of the first batch go through once more, as its self-test.
TESTED = 2


@keras.saving.register_keras_serializable("tests")
class Counted(keras.layers.Layer):
    """Gives what it gets, and counts the rows."""

    rows = 0

    def call(self, x):
        def count(size):
            Counted.rows += int(size)
            return np.int32(0)

        counted = tf.numpy_function(count, [tf.shape(x)[0]], tf.int32)
        with tf.control_dependencies([counted]):
            return tf.identity(x)


def counted_backbone(size=12, layers=(), name="test:counted") -> Backbone:
    """A counter, layers of yours, then two blocks of convolution."""
    image = keras.Input((size, size, 3), name="image")
    x = Counted(name="stem_count")(image)
    x = keras.layers.Rescaling(1 / 255, name="stem_scale")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem_conv")(x)
    for layer in layers:
        x = layer(x)
    for block in "ab":
        x = keras.layers.Conv2D(4, 3, padding="same", name=f"{block}_conv")(x)
        x = keras.layers.ReLU(name=f"{block}_relu")(x)
    model = keras.Model(image, x)
    return Backbone(
        model,
        blocks_by_start(model, {"a": "a_", "b": "b_"}),
        name,
        None,
        ImagePreprocess((size, size)),
    )


def counted_model(seed=0, classes=CLASSES, head="linear", **backbone):
    """The same model again and again."""
    keras.utils.set_random_seed(seed)
    return TransferModel(counted_backbone(**backbone), classes, head=head)


def rows_of(action) -> int:
    """How many examples pass the counter while something is done."""
    before = Counted.rows
    action()
    return Counted.rows - before


def one_pass(splits) -> int:
    """The rows of one pass over training and validation part."""
    return len(splits.train) + len(splits.validation) + TESTED


def with_train(splits, **changes):
    return dataclasses.replace(
        splits, train=dataclasses.replace(splits.train, **changes)
    )


def fed(model, splits, *stages, folder, seed=0, **settings):
    """What the first stage reads, and the rows that this took."""
    settings = CacheSettings(folder=folder, **settings)
    before = Counted.rows
    cache = FeatureCache(
        model, splits, stages, settings, tf.distribute.get_strategy(), seed
    )
    feed = cache.feed(0)
    cache.tidy()
    cache.close()
    return feed, Counted.rows - before


def tables(folder):
    """What lies on a shelf."""
    return {path.parent.name for path in folder.glob("*/manifest.json")}
