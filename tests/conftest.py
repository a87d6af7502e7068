"""Tiny models and data that the tests share."""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from tltf.core.backbone import Backbone, blocks_by_start
from tltf.core.model import TransferModel
from tltf.core.preprocess import ImagePreprocess
from tltf.core.splits import Splits

CLASSES = ("ape", "bee", "cat")


def tiny_backbone(size=12, dropout=0.2, blocks=3) -> Backbone:
    """Rescaling, then blocks of convolution, batch norm, ReLU, dropout."""
    image = keras.Input((size, size, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1, name="stem_scale")(image)
    for i in range(1, blocks + 1):
        x = keras.layers.Conv2D(4 * i, 3, padding="same", name=f"b{i}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"b{i}_bn")(x)
        x = keras.layers.ReLU(name=f"b{i}_relu")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"b{i}_drop")(x)
    model = keras.Model(image, x)
    starts = {f"b{i}": f"b{i}_" for i in range(1, blocks + 1)}
    return Backbone(
        model,
        blocks_by_start(model, starts),
        "test:tiny",
        None,
        ImagePreprocess((size, size)),
    )


def tiny_pictures(count=36, size=12, seed=0, classes=CLASSES):
    """Noise in which the colour tells the class."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % len(classes)
    images = random.integers(0, 200, (count, size, size, 3))
    images[np.arange(count), :, :, labels % 3] += 55
    return images.astype("uint8"), labels


@pytest.fixture
def make_model():
    """Gives a function that makes the same tiny model again and again."""

    def make(classes=CLASSES, seed=0, head="linear", **backbone):
        keras.utils.set_random_seed(seed)
        return TransferModel(tiny_backbone(**backbone), classes, head=head)

    return make


@pytest.fixture
def in_front():
    """As on a terminal: a shell has its background jobs ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def splits():
    return Splits.from_arrays(tiny_pictures(), classes=CLASSES, batch_size=8)
