"""The demo task keeps its digits apart, and draws the same ones again."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tltf.datasets import cluttered_digits

SEEDS = (0, 1, 2, 17)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_handwritten_digit_is_in_two_splits(seed):
    splits = cluttered_digits.indices(labels_per_class=30, seed=seed)
    assert set(splits) == {"source", "clutter", "train", "validation", "test"}
    rows = np.concatenate(list(splits.values()))
    assert len(np.unique(rows)) == len(rows)


def test_no_two_handwritten_digits_are_the_same_picture():
    pictures = load_digits().data
    assert len(np.unique(pictures, axis=0)) == len(pictures)


def test_each_split_holds_its_classes():
    classes = load_digits().target
    splits = cluttered_digits.indices(labels_per_class=10, seed=3)
    for split in ("source", "clutter"):
        assert set(classes[splits[split]]) == {0, 1, 2, 3, 4}
    for split, size in (("train", 10), ("validation", 10), ("test", 70)):
        found = np.bincount(classes[splits[split]], minlength=10)
        np.testing.assert_array_equal(found, [0] * 5 + [size] * 5)


def test_labels_say_which_digit_was_drawn():
    classes = load_digits().target
    chosen = cluttered_digits.indices(seed=1)
    for split, (_, labels) in cluttered_digits.target(seed=1).items():
        names = np.array(cluttered_digits.TARGET_CLASSES)[labels]
        np.testing.assert_array_equal(names.astype(int), classes[chosen[split]])
    _, labels = cluttered_digits.source()
    np.testing.assert_array_equal(labels, classes[chosen["source"]])


def test_only_train_depends_on_the_seed():
    first, again, other = (cluttered_digits.target(seed=s) for s in (0, 0, 1))
    for split in first:
        for a, b in zip(first[split], again[split], strict=True):
            np.testing.assert_array_equal(a, b)
    for split in ("validation", "test"):
        np.testing.assert_array_equal(first[split][0], other[split][0])
    assert not np.array_equal(first["train"][0], other["train"][0])
    a, b = (cluttered_digits.indices(seed=seed)["train"] for seed in (0, 1))
    assert set(a) != set(b)


def test_more_labels_keep_the_test_pictures():
    few, many = (cluttered_digits.target(count) for count in (1, 40))
    assert [len(few["train"][0]), len(many["train"][0])] == [5, 200]
    np.testing.assert_array_equal(few["test"][0], many["test"][0])


def test_source_copies_are_other_pictures_of_the_same_digits():
    images, labels = cluttered_digits.source(copies=2, seed=5)
    half = len(images) // 2
    np.testing.assert_array_equal(labels[:half], labels[half:])
    assert (images[:half] != images[half:]).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(
        images, cluttered_digits.source(copies=2, seed=5)[0]
    )


def test_shuffled_labels_are_dealt_once_and_say_nothing():
    images, labels = cluttered_digits.source(seed=0)
    same_images, shuffled = cluttered_digits.source(
        seed=0, shuffled_labels=True
    )
    _, later = cluttered_digits.source(seed=1, shuffled_labels=True)
    np.testing.assert_array_equal(images, same_images)
    np.testing.assert_array_equal(shuffled, later)
    np.testing.assert_array_equal(np.bincount(shuffled), np.bincount(labels))
    # 801 labels agree by chance at 0.2, with a standard deviation of 0.014.
    assert abs(np.mean(shuffled == labels) - 0.2) < 0.05


def test_pictures_are_grey_pixels_of_full_range():
    size = cluttered_digits.IMAGE_SIZE
    drawn = [cluttered_digits.source(), *cluttered_digits.target().values()]
    for images, labels in drawn:
        assert images.dtype == np.uint8
        assert images.shape == (len(labels), size, size, 3)
        assert images.min() == 0 and images.max() > 250
        assert (images == images[..., :1]).all()
        assert set(labels) == set(range(5))


@pytest.mark.parametrize("count", (0, -1, 1000))
def test_too_many_labels_a_class_are_refused(count):
    with pytest.raises(ValueError, match="`labels_per_class` must be 1"):
        cluttered_digits.target(labels_per_class=count)


def test_drawing_needs_no_tensorflow():
    code = (
        "import sys; from tltf.datasets import cluttered_digits;"
        "cluttered_digits.target(); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
