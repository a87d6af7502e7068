import os
import time

import numpy as np
import pytest

from tests.datasets.conftest import encode, pixels
from tltf.core.preprocess import ImagePreprocess
from tltf.datasets import folder
from tltf.errors import DataError


def load(path, **options):
    return folder.load(path, **{"image_size": 8, "batch_size": 4, **options})


def test_class_folders_become_classes_and_a_stratified_split_is_noted(flowers):
    splits = load(flowers({"rose": 10, "daisy": 20}))
    assert splits.classes == ("daisy", "rose")
    assert splits.train.class_counts == {"daisy": 16, "rose": 8}
    assert splits.validation.class_counts == {"daisy": 4, "rose": 2}
    assert splits.test is None
    assert any("6 of the 30" in note for note in splits.notes)
    assert splits.train.targets.dtype == np.int32


def test_examples_are_absolute_and_names_relative(flowers):
    root = flowers({"a": 5, "b": 5})
    train = load(root).train
    assert train.is_files
    assert train.preprocess == ImagePreprocess((8, 8))
    for path, name in zip(train.examples, train.names, strict=True):
        assert path == os.path.join(os.path.realpath(root), name)
    for target, name in zip(train.targets, train.names, strict=True):
        assert train.labels.classes[target] == name.split("/")[0]


def test_batches_hold_the_pictures(flowers, write, tmp_path):
    flowers({"a": 3, "b": 3})
    write("a/white.png", encode(np.full((8, 8, 3), 255, np.uint8)))
    train = load(str(tmp_path), batch_size=32).train
    images, labels = next(iter(train))
    assert images.shape == (len(train), 8, 8, 3)
    if "a/white.png" in train.names:
        white = train.names.index("a/white.png")
        assert images.numpy()[white].min() == 255
    np.testing.assert_array_equal(labels, train.targets)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "VALID", "Testing"),
        ("train", "validation", "test"),
        ("train", "dev", "TEST"),
    ],
)
def test_train_validation_and_test_folders(flowers, train, validation, test):
    flowers({"a": 4, "b": 4}, train)
    flowers({"a": 2, "b": 3}, validation)
    root = flowers({"a": 1, "b": 1}, test)
    splits = load(root)
    assert splits.classes == ("a", "b")
    sizes = {name: len(part) for name, part in splits.parts.items()}
    assert sizes == {"train": 8, "validation": 5, "test": 2}
    assert splits.notes == ()


def test_validation_that_lacks_a_class_shifts_no_numbers(flowers):
    flowers({"a": 3, "b": 3, "c": 3}, "train")
    splits = load(flowers({"b": 2, "c": 2}, "val"))
    assert splits.validation.class_counts == {"a": 0, "b": 2, "c": 2}
    assert list(splits.validation.targets) == [1, 1, 2, 2]
    assert "No example in validation of a." in splits.notes


def test_validation_with_a_class_of_its_own_is_an_error(flowers):
    flowers({"rose": 3, "tulip": 3}, "train")
    with pytest.raises(DataError, match=r"Rose.*mean 'rose'"):
        load(flowers({"Rose": 2, "tulip": 2}, "val"))


def test_classes_called_test_or_train_are_classes(flowers):
    splits = load(flowers({"train": 4, "test": 4, "bus": 4}))
    assert splits.classes == ("bus", "test", "train")


def test_numeric_names_sort_as_numbers(flowers):
    splits = load(flowers({"10": 2, "2": 2, "1": 2, "class12": 2, "class3": 2}))
    assert splits.classes == ("1", "2", "10", "class3", "class12")


def test_junk_is_never_a_class(flowers, write, tmp_path):
    flowers({"a": 3, "b": 3})
    for name in ("@eaDir", "__MACOSX", ".ipynb_checkpoints", ".git"):
        write(f"{name}/1.png")
        write(f"a/{name}/1.png")
    for name in ("Thumbs.db", ".DS_Store", "._1.png"):
        write(name, b"junk")
        write(f"a/{name}", b"junk")
    os.mkdir(tmp_path / "@eaDir" / "empty")
    splits = load(str(tmp_path))
    assert splits.classes == ("a", "b")
    assert len(splits.train) + len(splits.validation) == 6
    assert splits.skipped == ()


def test_folders_inside_a_class_belong_to_it(flowers):
    flowers({"a": 2, "b": 2})
    splits = load(flowers({"2020": 2, "2021": 2}, "a"))
    assert splits.classes == ("a", "b")
    assert len(splits.train) + len(splits.validation) == 8


def test_one_class_is_an_error_that_looks_deeper(flowers):
    root = flowers({"images/cat": 2, "images/dog": 2})
    with pytest.raises(DataError, match=r"one class folder.*folder:.*images"):
        load(root)


def test_an_empty_class_folder_is_an_error(flowers, tmp_path):
    flowers({"a": 3, "b": 3})
    os.mkdir(tmp_path / "c")
    with pytest.raises(DataError, match=r"'c' holds no usable picture"):
        load(str(tmp_path))


def test_a_class_of_broken_files_is_an_error_that_says_why(flowers, write):
    root = flowers({"a": 3, "b": 3})
    write("c/1.jpg", "<html>404</html>")
    with pytest.raises(DataError, match=r"'c'.*c/1\.jpg, is an HTML"):
        load(root)


def test_no_folder_a_file_and_an_empty_folder_are_errors(tmp_path, write):
    with pytest.raises(DataError, match="no folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="is a file"):
        load(write("table.csv", "a,b"))
    os.mkdir(tmp_path / "empty")
    with pytest.raises(DataError, match="no class folders"):
        load(str(tmp_path / "empty"))


def test_pictures_without_class_folders_are_an_error(tmp_path, write):
    write("1.png")
    write("2.png")
    with pytest.raises(DataError, match="pictures but no class folders"):
        load(str(tmp_path))


def test_stray_pictures_are_counted(flowers, write):
    root = flowers({"a": 3, "b": 3})
    write("3.png")
    write("readme.txt", "Pictures of flowers.")
    (skipped,) = load(root).skipped
    assert skipped.name == "3.png"


def test_validation_without_train_is_an_error(flowers):
    with pytest.raises(DataError, match="no 'train'"):
        load(flowers({"a": 2, "b": 2}, "val"))


def test_two_folders_of_one_part_are_an_error(flowers):
    flowers({"a": 2, "b": 2}, "train")
    flowers({"a": 2, "b": 2}, "val")
    with pytest.raises(DataError, match="two validation folders"):
        load(flowers({"a": 2, "b": 2}, "dev"))


def test_an_unlabelled_test_folder_is_left_out_and_named(flowers, write):
    root = flowers({"a": 5, "b": 5}, "train")
    write("test/1.png")
    splits = load(root)
    assert splits.test is None
    assert [s.name for s in splits.skipped] == ["test"]


@pytest.mark.timeout(60)
def test_a_fifo_and_links_out_are_never_opened(flowers, tmp_path):
    root = tmp_path / "root"
    flowers({"a": 3, "b": 3}, "root")
    flowers({"secret": 3}, "outside")
    os.mkfifo(root / "a" / "pipe.jpg")
    os.symlink(tmp_path / "outside/secret/0.png", root / "a" / "link.png")
    os.symlink(tmp_path / "outside/secret", root / "a" / "linked")
    os.symlink(tmp_path / "outside/secret", root / "secret")
    os.symlink(root / "nowhere.png", root / "b" / "broken.png")
    os.symlink(root / "b", root / "b" / "loop")
    start = time.monotonic()
    splits = load(str(root))
    assert time.monotonic() - start < 30
    assert splits.classes == ("a", "b")
    reasons = {s.name: s.reason for s in splits.skipped}
    assert "FIFO" in reasons["a/pipe.jpg"]
    assert "leads out" in reasons["a/link.png"]
    assert "leads out" in reasons["a/linked"]
    assert "leads out" in reasons["secret"]
    assert "broken link" in reasons["b/broken.png"]
    assert "read already" in reasons["b/loop"]
    assert len(reasons) == 6


def test_links_that_stay_inside_are_followed(flowers, tmp_path):
    root = flowers({"a": 3, "b": 3})
    os.symlink(tmp_path / "a" / "0.png", tmp_path / "b" / "same.png")
    splits = load(root)
    assert len(splits.train) + len(splits.validation) == 7


def test_a_name_that_is_not_utf8_is_left_out(flowers, tmp_path):
    root = flowers({"a": 3, "b": 3})
    with open(os.fsencode(root) + b"/a/\xff.png", "wb") as file:
        file.write(encode(pixels()))
    (skipped,) = load(root).skipped
    assert "UTF-8" in skipped.reason


def test_broken_files_are_left_out_and_noted(flowers, write):
    root = flowers({"a": 5, "b": 5})
    write("a/broken.jpg", encode(pixels(0, 99, 99), "JPEG")[:400])
    splits = load(root)
    assert [s.name for s in splits.skipped] == ["a/broken.jpg"]
    assert any("1 of the data were left out" in n for n in splits.notes)
    assert sum(1 for _ in splits.train.batches().unbatch()) == len(splits.train)


def test_uneven_classes_are_noted(flowers):
    splits = load(flowers({"a": 20, "b": 3}))
    assert any("uneven" in note for note in splits.notes)


def test_the_split_follows_from_the_seed(flowers):
    root = flowers({"a": 20, "b": 20})
    names = [load(root, seed=seed).validation.names for seed in (0, 0, 1)]
    assert names[0] == names[1] != names[2]
    held = load(root, validation=0.5).validation
    assert held.class_counts == {"a": 10, "b": 10}


def test_wrong_settings_are_errors_before_files_are_read(flowers):
    root = flowers({"a": 2, "b": 2})
    with pytest.raises(ValueError, match="resize"):
        load(root, resize="squash")
    with pytest.raises(ValueError, match="image_size"):
        load(root, image_size=0)
    with pytest.raises(ValueError, match="validation"):
        load(root, validation=1.5)
    with pytest.raises(ValueError, match="batch_size"):
        load(root, batch_size=0)
