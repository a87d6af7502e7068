import numpy as np
import pytest

from tltf.datasets import cluttered_digits, demo, folder
from tltf.errors import DataError


def test_the_demo_gives_the_drawn_pixels():
    splits = demo.load(labels_per_class=2, seed=3)
    assert splits.classes == ("5", "6", "7", "8", "9")
    drawn = cluttered_digits.target(2, 3)
    for name, part in splits.parts.items():
        images, numbers = drawn[name]
        got = np.concatenate([x.numpy() for x, _ in part])
        np.testing.assert_array_equal(got, images)
        np.testing.assert_array_equal(part.targets, numbers)
        assert part.targets.dtype == np.int32


def test_the_demo_takes_any_size():
    images, _ = next(iter(demo.load(image_size=20, labels_per_class=2).train))
    assert images.shape == (10, 20, 20, 3)


def test_written_folders_hold_the_same_task(tmp_path):
    demo.write_folder(str(tmp_path), labels_per_class=2, seed=1)
    written = folder.load(str(tmp_path), image_size=40)
    shown = demo.load(labels_per_class=2, seed=1)
    assert written.classes == shown.classes
    assert written.skipped == ()
    for name, part in written.parts.items():
        ours = sorted(x.tobytes() for b, _ in part for x in b.numpy())
        theirs = shown.parts[name]
        assert ours == sorted(x.tobytes() for b, _ in theirs for x in b.numpy())
        assert part.class_counts == theirs.class_counts


def test_another_demo_is_an_error():
    with pytest.raises(DataError, match="demo:digits"):
        demo.load("digit")
