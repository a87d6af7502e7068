"""What an earlier run kept is found again, where it is the same."""

import dataclasses
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, tiny_pictures
from tests.core.cache.counting import (
    HEAD,
    TESTED,
    counted_model,
    fed,
    one_pass,
    with_train,
)
from tltf.core.labels import Labels
from tltf.core.preprocess import ImagePreprocess
from tltf.core.split import Split
from tltf.core.splits import Splits
from tltf.core.stage import Stage


@pytest.mark.parametrize(
    "stage",
    [
        HEAD,
        Stage(0, 7, 0.5, optimizer="sgd"),
        Stage(0, 2, class_weights="balanced", solver="auto", name="other"),
    ],
    ids=["same", "rate", "solver"],
)
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_later_run_finds_the_features(splits, stage, head, tmp_path):
    """Whatever its head, rate, epochs, seed, and size of batches."""
    fed(counted_model(), splits, HEAD, folder=tmp_path)
    splits = with_train(splits, batch_size=4)
    model = counted_model(head=head)
    keras.utils.set_random_seed(5)
    feed, rows = fed(model, splits, stage, folder=tmp_path, seed=9)
    assert rows == 0
    assert feed.train.table.where == "disk"
    assert "kept from an earlier run" in feed.reason


def test_features_are_computed_from_those_that_an_earlier_run_kept(
    splits, tmp_path
):
    """Those of a lower cut are a good beginning."""
    fed(counted_model(), splits, Stage(1, 2), folder=tmp_path)
    stages = (HEAD, Stage(1, 2))
    feed, rows = fed(counted_model(), splits, *stages, folder=tmp_path)
    assert rows == 0
    direct, _ = fed(counted_model(), splits, HEAD, folder=None)
    assert feed.train.cut == direct.train.cut
    np.testing.assert_allclose(
        feed.train.table.arrays[0], direct.train.table.arrays[0], atol=1e-6
    )


def changed_pixel(splits, model):
    images = splits.train.examples.copy()
    images[7, 3, 3, 1] ^= 1
    return with_train(splits, examples=images), model


def changed_weight(splits, model):
    kernel = model.get_layer("stem_conv").kernel
    values = kernel.numpy()
    values[0, 0, 0, 0] = np.nextafter(values[0, 0, 0, 0], np.float32(9))
    kernel.assign(values)
    return splits, model


def changed_order(splits, model):
    train = splits.train
    return (
        with_train(
            splits,
            examples=train.examples[::-1].copy(),
            targets=train.targets[::-1].copy(),
        ),
        model,
    )


def changed_type(splits, model):
    """Pixels of equal value and another dtype."""
    images = splits.train.examples.astype("float32")
    return with_train(splits, examples=images), model


def one_example_less(splits, model):
    return dataclasses.replace(
        splits, train=splits.train.take(np.arange(len(splits.train) - 1))
    ), model


@pytest.mark.parametrize(
    "change",
    [
        changed_pixel,
        changed_order,
        changed_type,
        one_example_less,
        changed_weight,
    ],
    ids=lambda change: change.__name__,
)
def test_other_examples_or_weights_are_computed_anew(splits, change, tmp_path):
    fed(counted_model(), splits, HEAD, folder=tmp_path)
    other, model = change(splits, counted_model())
    _, rows = fed(model, other, HEAD, folder=tmp_path)
    of_both = change is changed_weight
    assert rows == (one_pass(other) if of_both else len(other.train) + TESTED)


def test_another_cache_dtype_is_computed_anew(splits, tmp_path):
    full, _ = fed(counted_model(), splits, HEAD, folder=tmp_path)
    half, rows = fed(
        counted_model(), splits, HEAD, folder=tmp_path, dtype="float16"
    )
    assert rows == one_pass(splits)
    assert half.train.table.bytes * 2 == full.train.table.bytes


def png_splits(folder, preprocess):
    images, labels = tiny_pictures(24)
    paths = []
    for i, image in enumerate(images):
        path = folder / f"{i:02}.png"
        if not path.exists():
            path.write_bytes(_fixed_size_png(image))
        paths.append(str(path))

    def part(rows):
        return Split(
            np.array(paths, object)[rows],
            labels[rows],
            Labels(CLASSES),
            is_files=True,
            preprocess=preprocess,
            batch_size=8,
        )

    return Splits.from_parts(
        {"train": part(slice(0, 18)), "validation": part(slice(18, None))}
    )


def _fixed_size_png(image, size=1024) -> bytes:
    """A picture's file, filled up to one size past its end."""
    content = tf.io.encode_png(image).numpy()
    assert len(content) <= size
    return content.ljust(size, b"\0")


def test_an_overwritten_file_of_the_same_size_and_time_is_noticed(tmp_path):
    pictures, features = tmp_path / "pictures", tmp_path / "features"
    pictures.mkdir()
    splits = png_splits(pictures, ImagePreprocess((12, 12)))
    fed(counted_model(), splits, HEAD, folder=features)
    path = splits.train.examples[3]
    before = os.stat(path)
    with open(path, "wb") as file:
        file.write(_fixed_size_png(255 - tiny_pictures(24)[0][3]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(path)
    assert (after.st_size, after.st_mtime_ns) == (
        before.st_size,
        before.st_mtime_ns,
    )
    _, rows = fed(counted_model(), splits, HEAD, folder=features)
    assert rows == len(splits.train) + TESTED


def test_other_preprocessing_is_computed_anew(tmp_path):
    pictures, features = tmp_path / "pictures", tmp_path / "features"
    pictures.mkdir()
    for preprocess, is_known in (
        (ImagePreprocess((12, 12)), False),
        (ImagePreprocess((12, 12)), True),
        (ImagePreprocess((12, 12), resize="crop"), False),
    ):
        splits = png_splits(pictures, preprocess)
        model = counted_model()
        model.preprocess = preprocess
        _, rows = fed(model, splits, HEAD, folder=features)
        assert rows == (0 if is_known else one_pass(splits))
