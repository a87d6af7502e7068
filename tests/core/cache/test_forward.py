"""Frozen layers whose features are no constants are found out."""

import dataclasses

import keras
import numpy as np
import pytest

from tests.core.cache.counting import HEAD, counted_model, fed, with_train
from tltf.core.fit import fit
from tltf.core.stage import Stage


@keras.saving.register_keras_serializable("tests")
class AlwaysRandom(keras.layers.Layer):
    """Adds noise, in inference too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x):
        noise = keras.random.normal(keras.ops.shape(x), seed=self.seed)
        return x + noise


@keras.saving.register_keras_serializable("tests")
class WholeBatch(keras.layers.Layer):
    """Centres an example by all that are with it."""

    def call(self, x):
        return x - keras.ops.mean(x, axis=0, keepdims=True)


@keras.saving.register_keras_serializable("tests")
class ByPlace(keras.layers.Layer):
    """Does something else with each place in a batch."""

    def call(self, x):
        place = keras.ops.arange(keras.ops.shape(x)[0], dtype=x.dtype)
        return x * (1 + place[:, None, None, None])


@pytest.mark.parametrize("kind", [AlwaysRandom, WholeBatch, ByPlace])
def test_features_that_are_no_constants_are_not_cached(kind, splits):
    model = counted_model(layers=[kind(name="stem_odd")])
    run = fit(model, splits, Stage(0, 2))
    stage = run.stages[0]
    assert not stage.cached and stage.epochs == 2
    assert "random, or look at the whole batch" in stage.notes[0]


def test_of_two_examples_the_batch_is_noticed_too(splits):
    """A batch as small as the self-test must not be its own witness."""
    splits = with_train(splits, batch_size=2)
    splits = dataclasses.replace(
        splits,
        validation=dataclasses.replace(splits.validation, batch_size=2),
    )
    model = counted_model(layers=[WholeBatch(name="stem_odd")])
    feed, _ = fed(model, splits, HEAD, folder=None)
    assert feed.train is None and feed.held is None


def test_what_is_random_in_training_alone_is_cached(splits):
    model = counted_model(layers=[keras.layers.Dropout(0.5, name="stem_drop")])
    feed, _ = fed(model, splits, HEAD, folder=None)
    assert feed.train is not None
    images = keras.ops.cast(splits.train.examples, "float32")
    below = keras.Model(
        model.input, model.get_layer("head_average_pool").output
    )
    np.testing.assert_allclose(
        feed.train.table.arrays[0], below(images, training=False), atol=1e-5
    )
