"""Where features lie is nobody's concern but the log's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, tiny_pictures
from tests.core.cache import test_shelf
from tests.core.cache.counting import (
    HEAD,
    TESTED,
    Counted,
    counted_model,
    fed,
    tables,
)
from tests.core.cache.full_disk import FAILURES, fails_to_sync
from tltf.core.backbone import Backbone, blocks_by_start
from tltf.core.cache import room
from tltf.core.cache.cache import FeatureCache
from tltf.core.cache.settings import CacheSettings
from tltf.core.fit import fit
from tltf.core.model import TransferModel
from tltf.core.splits import Splits
from tltf.core.stage import Stage

# Of the head's stage: 4 float32 an example; 30 to train on, 6 held out.
TRAIN_BYTES, HELD_BYTES = 30 * 16, 6 * 16
STAGE = Stage(0, 3, 1e-2, optimizer="sgd")


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """A disk that is far faster than any layer."""
    monkeypatch.setattr(room, "disk_speed", lambda path: (1e15, 1e15))


@pytest.fixture(scope="module")
def plain():
    """History and weights without a cache."""
    return outcome(cache="none")


def outcome(**settings):
    splits = Splits.from_arrays(tiny_pictures(), classes=CLASSES, batch_size=8)
    model = counted_model()
    run = fit(model, splits, STAGE, **settings)
    figures = np.array([run.history["loss"], run.history["val_loss"]])
    return figures, model.get_weights()[-2:], run


def assert_equal(ours, theirs):
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    for a, b in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_what_fits_the_budget_to_the_byte_lies_in_memory(splits):
    total = TRAIN_BYTES + HELD_BYTES
    feed, _ = fed(counted_model(), splits, HEAD, folder=None, memory=total)
    assert feed.train.table.where == feed.held.table.where == "memory"
    assert feed.train.table.bytes == TRAIN_BYTES
    feed, _ = fed(counted_model(), splits, HEAD, folder=None, memory=total - 1)
    assert feed.train.table.where == "memory" and feed.held is None


def test_what_is_too_large_for_memory_goes_to_disk(splits, tmp_path):
    feed, _ = fed(
        counted_model(), splits, HEAD, folder=tmp_path, memory=TRAIN_BYTES - 1
    )
    assert feed.train.table.where == "disk"
    assert feed.held.table.where == "memory"
    assert "480 B on disk" in feed.reason
    # Both are kept for a later run.
    assert len(tables(tmp_path)) == 2


def test_without_room_training_is_equal_and_says_why(plain):
    cramped = outcome(cache_memory=TRAIN_BYTES - 1)
    assert_equal(cramped, plain)
    assert not cramped[2].stages[0].cached
    note = cramped[2].stages[0].notes[0]
    assert "480 B are more than the 479 B" in note
    assert "`cache_memory`" in note


def test_a_disk_that_is_slower_than_the_layers_is_not_used(
    splits, tmp_path, monkeypatch
):
    monkeypatch.setattr(room, "disk_speed", lambda path: (1.0, 1.0))
    settings = {"folder": tmp_path, "memory": 0}
    feed, rows = fed(counted_model(), splits, HEAD, **settings)
    assert feed.train is None and not tables(tmp_path)
    # 480 B written and read three times, at a byte a second.
    assert "480 B and reading them 3 times would take 1920 s" in feed.reason
    # Of each part no more than two batches and the self-test was computed.
    assert rows == 16 + 6 + TESTED
    # Who asks for the disk gets it.
    feed, _ = fed(counted_model(), splits, HEAD, place="disk", **settings)
    assert feed.train.table.where == "disk"


def test_a_disk_that_would_get_too_full_is_not_used(
    splits, tmp_path, monkeypatch
):
    monkeypatch.setattr(room, "free_disk", lambda path: 2 * TRAIN_BYTES - 1)
    feed, _ = fed(counted_model(), splits, HEAD, folder=tmp_path, place="disk")
    assert feed.train is None and feed.held is not None
    assert "more than half of the 959 B that are free" in feed.reason


@pytest.mark.parametrize(
    "failure", FAILURES, ids=lambda failure: failure.__name__
)
def test_a_full_disk_costs_the_cache_and_nothing_else(
    failure, plain, tmp_path, monkeypatch
):
    failure(monkeypatch)
    run = outcome(cache="disk", cache_dir=tmp_path)
    assert_equal(run, plain)
    assert not run[2].stages[0].cached
    assert "No space left on device" in run[2].stages[0].notes[0]
    assert test_shelf.files(tmp_path) == []


def test_what_is_in_memory_serves_though_the_disk_is_full(
    plain, tmp_path, monkeypatch
):
    fails_to_sync(monkeypatch)
    run = outcome(cache="auto", cache_dir=tmp_path)
    assert_equal(run, plain)
    assert run[2].stages[0].cached
    assert test_shelf.files(tmp_path) == []


def test_damaged_features_are_computed_again(plain, tmp_path, caplog):
    settings = {"cache": "disk", "cache_dir": tmp_path}
    outcome(**settings)
    for manifest in tmp_path.glob("*/manifest.json"):
        test_shelf.truncated(manifest.parent)
    before = Counted.rows
    run = outcome(**settings)
    assert Counted.rows - before == 36 + TESTED
    assert "are computed again" in caplog.text
    assert_equal(run, plain)
    before = Counted.rows
    assert_equal(outcome(**settings), plain)
    assert Counted.rows == before


def test_half_precision_takes_half_and_trains_almost_alike(plain):
    half = outcome(cache_dtype="float16", cache_memory="1MB")
    np.testing.assert_allclose(half[0], plain[0], rtol=1e-2)
    assert np.abs(half[0] - plain[0]).max() > 0
    assert "240 B in memory" in half[2].stages[0].notes[0]


def bright(splits):
    """A model whose features are beyond 65,504."""
    model = counted_model(layers=[keras.layers.Rescaling(1e6, name="stem_up")])
    return fed(
        model,
        splits,
        HEAD,
        folder=None,
        dtype="float16",
        memory=TRAIN_BYTES + HELD_BYTES,
    )


def test_what_float16_cannot_hold_is_stored_as_float32(splits, caplog):
    feed, _ = bright(splits)
    assert "65,504; stored as float32" in caplog.text
    column, array = feed.train.table.columns[0], feed.train.table.arrays[0]
    assert column.stored == "float32" and array.dtype == np.float32
    assert np.isfinite(array).all() and np.abs(array).max() > 65_504


def test_the_failed_attempt_gives_its_memory_back(splits):
    """The budget is that of float32 features, to the byte."""
    feed, _ = bright(splits)
    assert feed.train.table.where == feed.held.table.where == "memory"


def test_features_without_a_name_do_not_outlive_the_run(splits, tmp_path):
    """Of a layer whose source nobody can read."""

    def call(self, x):
        return x + 0

    kind = type("Nowhere", (keras.layers.Layer,), {"call": call})
    model = counted_model(layers=[kind(name="stem_nowhere")])
    settings = CacheSettings("disk", folder=tmp_path)
    strategy = tf.distribute.get_strategy()
    cache = FeatureCache(model, splits, [HEAD], settings, strategy)
    assert cache.feed(0).train.table.where == "disk"
    assert len(tables(tmp_path)) == 2
    cache.close()
    assert test_shelf.files(tmp_path) == []


def test_bfloat16_features_are_stored_as_they_are(splits, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = counted_model()
        feed, _ = fed(model, splits, Stage(1, 3), folder=tmp_path, place="disk")
    finally:
        keras.config.set_dtype_policy("float32")
    assert feed.train.table.columns[0].stored == "bfloat16"
    # Below the upper block: 12 x 12 x 4, of two bytes.
    assert feed.train.table.bytes == 30 * 12 * 12 * 4 * 2
    below = keras.Model(model.input, model.get_layer("a_relu").output)
    images = keras.ops.cast(splits.train.examples, "float32")
    expected = keras.ops.cast(below(images, training=False), "float32")
    stored = feed.train.table.columns[0].to_tensor(
        tf.constant(np.array(feed.train.table.arrays[0]))
    )
    assert stored.dtype == tf.bfloat16
    np.testing.assert_allclose(
        tf.cast(stored, tf.float32), expected, rtol=2e-2, atol=2e-2
    )


def test_pictures_of_different_sizes_are_not_cached():
    """One at a time a network without fixed size takes them."""

    def pictures():
        for i in range(9):
            yield np.full((6 + i % 2, 6, 3), 20 * i, "float32"), i % 3

    spec = (
        tf.TensorSpec((None, 6, 3), tf.float32),
        tf.TensorSpec((), tf.int32),
    )
    stream = tf.data.Dataset.from_generator(pictures, output_signature=spec)
    splits = Splits.from_datasets(stream, stream, classes=CLASSES, batch_size=1)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", name="stem_conv")(image)
    x = keras.layers.Conv2D(2, 3, padding="same", name="top_conv")(x)
    network = keras.Model(image, x)
    blocks = blocks_by_start(network, {"top": "top_"})
    model = TransferModel(Backbone(network, blocks, "test:any"), CLASSES)
    run = fit(model, splits, Stage(1, 2, 1e-2, optimizer="sgd"))
    assert not run.stages[0].cached
    assert "differ in shape" in run.stages[0].notes[0]
