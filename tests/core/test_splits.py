import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tltf.core.labels import Labels
from tltf.core.split import Split
from tltf.core.splits import Splits, imbalance, stratified
from tltf.errors import DataError

TEXTS = [f"text {i}" for i in range(20)]


def images(count=20, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)


def pairs(splits):
    """Example to label, over train and validation."""
    return {
        str(example): int(target)
        for part in (splits.train, splits.validation)
        for example, target in zip(part.examples, part.targets, strict=True)
    }


# from_arrays: what comes in


@pytest.mark.parametrize(
    "texts",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS, index=range(50, 70)),
        pd.Series(TEXTS, dtype=object),
        pd.DataFrame({"text": TEXTS}),
        tf.constant(TEXTS),
    ],
    ids=lambda texts: type(texts).__name__,
)
@pytest.mark.parametrize(
    "labels",
    [
        ["no", "yes"] * 10,
        np.array(["no", "yes"] * 10),
        pd.Series(["no", "yes"] * 10, index=range(70, 50, -1)),
        pd.Series(["no", "yes"] * 10, dtype="category"),
        np.array([[b"no"], [b"yes"]] * 10),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_texts_and_label_names_in_every_dress(texts, labels):
    splits = Splits.from_arrays((texts, labels), batch_size=4)
    assert splits.classes == ("no", "yes")
    assert splits.train.targets.dtype == np.int32
    found = set()
    for batch, numbers in splits.train:
        for text, number in zip(batch.numpy(), numbers.numpy(), strict=True):
            assert int(text.decode().split()[1]) % 2 == number
            found.add(text)
    assert len(found) == 16 and len(splits.validation) == 4


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 2, 1] * 5,
        np.array([0, 1, 2, 1] * 5, "int64"),
        np.array([[0], [1], [2], [1]] * 5),
        pd.Series([0, 1, 2, 1] * 5),
        pd.Series([0, 1, 2, 1] * 5, dtype="Int64"),
        tf.constant([0, 1, 2, 1] * 5),
    ],
)
def test_class_numbers_in_every_dress(labels):
    splits = Splits.from_arrays((images(), labels))
    assert splits.classes == ("0", "1", "2")
    assert splits.train.targets.shape == (len(splits.train),)
    assert splits.train.targets.dtype == np.int32


def test_truth_values_are_two_classes():
    splits = Splits.from_arrays((images(), np.array([True, False] * 10)))
    assert splits.labels.kind == "binary"


def test_one_hot_labels_need_names_and_become_numbers():
    numbers = np.arange(20) % 3
    one_hot = np.eye(3)[numbers]
    with pytest.raises(DataError, match="one-hot"):
        Splits.from_arrays((images(), one_hot))
    part = (images(), one_hot)
    splits = Splits.from_arrays(part, part, classes=["a", "b", "c"])
    np.testing.assert_array_equal(splits.train.targets, numbers)
    soft = one_hot * 0.8 + 0.1
    with pytest.raises(DataError, match="not one-hot"):
        Splits.from_arrays((images(), soft), classes=["a", "b", "c"])


@pytest.mark.parametrize("labels", [[1, 2] * 10, [0, 2] * 10, [-1, 0] * 10])
def test_class_numbers_with_gaps_are_an_error(labels):
    with pytest.raises(DataError, match=r"class \d has no examples"):
        Splits.from_arrays((images(), labels))


def test_an_empty_class_may_be_meant_and_is_noted():
    splits = Splits.from_arrays((images(), [1, 2] * 10), classes=3)
    assert "No example in train of 0." in splits.notes


def test_class_numbers_may_be_given_as_names():
    labels = pd.Series([1, 2, 10, 2] * 5).astype(str)
    assert Splits.from_arrays((images(), labels)).classes == ("1", "2", "10")


def test_bytes_of_pictures_stay_bytes():
    raw = np.array([tf.io.encode_png(i).numpy() for i in images()], object)
    part = Splits.from_arrays((raw, [0, 1] * 10)).train
    assert part.examples[0] in set(raw)


def test_texts_take_the_room_of_their_own_length_only():
    texts = ["short"] * 19 + ["x" * 1_000_000]
    train = Splits.from_arrays((texts, [0, 1] * 10)).train
    assert train.examples.dtype == object
    assert train.examples.nbytes < 1000


def test_inputs_may_be_a_dict():
    inputs = {"ids": np.zeros((20, 4), "int32"), "mask": np.ones((20, 4), bool)}
    splits = Splits.from_arrays((inputs, [0, 1] * 10), batch_size=8)
    batch, _ = next(iter(splits.train))
    assert batch["ids"].shape == (8, 4) and batch["mask"].shape == (8, 4)
    with pytest.raises(DataError, match="19 inputs and 20 labels"):
        Splits.from_arrays((inputs | {"mask": np.ones(19)}, [0, 1] * 10))


# from_arrays: what is refused


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, 3, 0.5])
def test_a_missing_text_is_an_error_with_its_row(missing):
    texts = pd.Series([*TEXTS[:-1], missing], dtype=object)
    with pytest.raises(DataError, match="`train` row 19 is no text"):
        Splits.from_arrays((texts, [0, 1] * 10))


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_missing_label_is_an_error_with_its_row(missing):
    labels = pd.Series([*(["a", "b"] * 9), "a", missing], dtype=object)
    with pytest.raises(DataError, match="row 19 has no label"):
        Splits.from_arrays((TEXTS, labels))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0] * 20, "needs two classes"),
        ([0, 1] * 9, "20 inputs and 18 labels"),
        (np.linspace(0, 1, 20), "regression"),
        (np.zeros((20, 3), int), "one-hot"),
    ],
)
def test_unusable_labels_are_errors(labels, said):
    with pytest.raises(DataError, match=said):
        Splits.from_arrays((images(), labels))


def test_labels_that_are_no_class_are_errors():
    train = (TEXTS, ["cat", "dog"] * 10)
    with pytest.raises(DataError, match=r"`test`.*'Dog'.*mean 'dog'"):
        Splits.from_arrays(train, train, (["x"], ["Dog"]))
    with pytest.raises(DataError, match=r"`validation`.*0\.\.2"):
        Splits.from_arrays((TEXTS, [0, 1] * 10), (["x", "y"], [0, 2]))
    with pytest.raises(DataError, match="whole numbers"):
        Splits.from_arrays((TEXTS, np.full(20, 0.5)), classes=2)
    with pytest.raises(DataError, match="row 3 is not finite"):
        labels = np.array([0, 1, 0, np.nan] * 5)
        Splits.from_arrays((TEXTS, labels), classes=2)


def test_pixels_that_are_not_finite_are_an_error_with_the_row():
    pictures = images().astype("float32")
    pictures[7, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="row 7 has values that are not finite"):
        Splits.from_arrays((pictures, [0, 1] * 10))


def test_scaled_pictures_are_noted():
    (note,) = Splits.from_arrays((images() / 255, [0, 1] * 10)).notes[:1]
    assert "0..255 is expected" in note
    notes = Splits.from_arrays((images(), [0, 1] * 10)).notes
    assert not any("0..255" in note for note in notes)


def test_pictures_of_different_shape_are_an_error():
    pictures = [np.zeros((4, 4, 3)), np.zeros((5, 4, 3))] * 10
    with pytest.raises(DataError, match="differ in shape"):
        Splits.from_arrays((pictures, [0, 1] * 10))


def test_what_is_no_pair_is_an_error():
    with pytest.raises(TypeError, match="must be a pair"):
        Splits.from_arrays(images())


# other kinds of labels


def test_multi_label():
    generator = np.random.default_rng(0)
    labels = Labels(("a", "b", "c"), "multi_label")
    values = generator.integers(0, 2, (20, 3))
    splits = Splits.from_arrays((images(), values), classes=labels)
    assert splits.train.targets.shape == (16, 3)
    counts = splits.train.class_counts
    assert list(counts.values()) == list(splits.train.targets.sum(axis=0))
    assert any("at random" in note for note in splits.notes)
    with pytest.raises(DataError, match="neither 0 nor 1"):
        Splits.from_arrays((images(), values * 2), classes=labels)
    with pytest.raises(DataError, match="2 values a label"):
        Splits.from_arrays((images(), values[:, :2]), classes=labels)


def test_regression():
    labels = Labels(("age",), "regression")
    for values in (np.arange(20.0), np.arange(20), np.arange(20.0)[:, None]):
        splits = Splits.from_arrays((images(), values), classes=labels)
        assert splits.train.targets.shape == (16, 1)
        assert splits.train.class_counts is None
    with pytest.raises(DataError, match="no numbers"):
        Splits.from_arrays((images(), ["old"] * 20), classes=labels)


# from_datasets


def test_batched_and_unbatched_datasets_are_the_same():
    data = tf.data.Dataset.from_tensor_slices((images(), np.arange(20) % 2))
    whole = Splits.from_datasets(data, data)
    for other in (
        data.batch(6),
        data.batch(5, drop_remainder=True),
        data.map(lambda x, y: (x, y[None])),
        data.map(lambda x, y: (x, y[None])).batch(6),
        data.map(lambda x, y: (x, tf.one_hot(y, 2))).batch(6),
        data.map(lambda x, y: (x, tf.one_hot(y, 2))),
    ):
        splits = Splits.from_datasets(other, other, classes=2)
        np.testing.assert_array_equal(splits.train.targets, whole.train.targets)
        for (x, _), (expected, _) in zip(
            splits.train, whole.train, strict=True
        ):
            np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("shape", [(), (28,), (28, 28), (7, 1), (6, 5, 3)])
def test_inputs_of_any_rank_are_unbatched(shape):
    inputs = np.zeros((20, *shape), "float32")
    data = tf.data.Dataset.from_tensor_slices((inputs, np.arange(20) % 2))
    for given in (data, data.batch(7), data.batch(10)):
        train = Splits.from_datasets(given, given).train
        assert len(train) == 20
        assert train.examples.element_spec[0].shape == shape


def test_dicts_of_batched_tensors_are_unbatched():
    inputs = {"ids": np.zeros((20, 4), "int32"), "mask": np.ones((20, 4))}
    data = tf.data.Dataset.from_tensor_slices((inputs, [0, 1] * 10)).batch(8)
    train = Splits.from_datasets(data, data).train
    assert len(train) == 20
    assert train.examples.element_spec[0]["ids"].shape == (4,)


def test_multi_label_datasets_are_unbatched_by_rank():
    labels = Labels(("a", "b"), "multi_label")
    values = np.array([[0, 1], [1, 1]] * 10)
    data = tf.data.Dataset.from_tensor_slices((images(), values))
    for given in (data, data.batch(6), data.batch(2)):
        train = Splits.from_datasets(given, given, classes=labels).train
        np.testing.assert_array_equal(train.targets, values)


def test_string_labels_of_a_dataset_become_names():
    data = tf.data.Dataset.from_tensor_slices((TEXTS, ["no", "yes"] * 10))
    assert Splits.from_datasets(data, data).classes == ("no", "yes")


def test_a_shuffled_dataset_is_an_error():
    data = tf.data.Dataset.from_tensor_slices((images(100), [0, 1] * 50))
    with pytest.raises(DataError, match="another order each time"):
        Splits.from_datasets(data.shuffle(100), data)
    fixed = data.shuffle(100, seed=1, reshuffle_each_iteration=False)
    assert len(Splits.from_datasets(fixed, data).train) == 100


def test_endless_empty_and_odd_datasets_are_errors():
    data = tf.data.Dataset.from_tensor_slices((images(), [0, 1] * 10))
    with pytest.raises(DataError, match="endless"):
        Splits.from_datasets(data.repeat(), data)
    with pytest.raises(DataError, match="`validation` is empty"):
        Splits.from_datasets(data, data.take(0))
    with pytest.raises(DataError, match="pairs"):
        Splits.from_datasets(data.map(lambda x, y: (x, y, 1.0)), data)
    with pytest.raises(DataError, match="pairs"):
        Splits.from_datasets(data.map(lambda x, y: x), data)
    with pytest.raises(TypeError, match="from_arrays"):
        Splits.from_datasets((images(), [0, 1] * 10), data)


def test_a_dataset_without_validation_is_split_by_class():
    numbers = np.array([0] * 30 + [1] * 10)
    data = tf.data.Dataset.from_tensor_slices((np.arange(40), numbers))
    splits = Splits.from_datasets(data, batch_size=7)
    assert splits.train.class_counts == {"0": 24, "1": 8}
    assert splits.validation.class_counts == {"0": 6, "1": 2}
    seen = [
        [int(x) for b, _ in part for x in b]
        for part in (splits.train, splits.validation)
    ]
    assert sorted(seen[0] + seen[1]) == list(range(40))
    for part, xs in zip((splits.train, splits.validation), seen, strict=True):
        np.testing.assert_array_equal(part.targets, numbers[xs])


def test_names_of_keras_datasets_are_taken(tmp_path):
    import keras

    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(4):
            keras.utils.save_img(tmp_path / name / f"{i}.png", images(1)[0])
    data = keras.utils.image_dataset_from_directory(
        tmp_path, shuffle=False, batch_size=3, image_size=(6, 5), verbose=0
    )
    splits = Splits.from_datasets(data)
    assert splits.classes == ("cat", "dog")
    assert len(splits.train) + len(splits.validation) == 8


# the split that is made


def test_stratified_holds_out_the_share_of_every_class():
    targets = np.array([0] * 1000 + [1] * 2 + [2] * 50)
    kept, held = stratified(targets, Labels(("a", "b", "c")), 0.2, 0)
    assert list(np.bincount(targets[held])) == [200, 1, 10]
    assert list(np.bincount(targets[kept])) == [800, 1, 40]
    assert sorted([*kept, *held]) == list(range(1052))
    assert list(kept) == sorted(kept) and list(held) == sorted(held)


def test_stratified_follows_from_the_seed():
    targets = np.arange(100) % 2
    labels = Labels(("a", "b"))
    first, again, other = (
        stratified(targets, labels, 0.2, seed)[1].tolist() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_class_of_one_example_cannot_be_split():
    with pytest.raises(DataError, match="'b' has one example"):
        Splits.from_arrays((TEXTS, ["a"] * 19 + ["b"]))


def test_the_split_and_uneven_classes_are_noted():
    splits = Splits.from_arrays((TEXTS, ["a"] * 16 + ["b"] * 4), seed=5)
    held, uneven = splits.notes
    assert held.startswith("No validation set was given: 4 of the 20 training")
    assert "stratified by class, seed 5" in held
    assert "'a' has 13 examples, 'b' 3" in uneven
    assert imbalance({"a": 3, "b": 1}) is None
    assert imbalance(None) is None


def test_a_given_validation_set_is_kept():
    train, held = (TEXTS, ["a", "b"] * 10), (["x", "y"], ["b", "a"])
    splits = Splits.from_arrays(train, held)
    assert len(splits.train) == 20
    assert list(splits.validation.targets) == [1, 0]
    assert splits.notes == ()


def test_reading_is_the_same_whatever_the_order_of_the_seed():
    splits = Splits.from_arrays((TEXTS, [i % 2 for i in range(20)]))
    assert pairs(splits) == {text: i % 2 for i, text in enumerate(TEXTS)}


def test_a_split_checks_itself():
    labels = Labels(("a", "b"))
    with pytest.raises(ValueError, match="batch_size"):
        Split(np.zeros(2), np.zeros(2), labels, batch_size=0)
    with pytest.raises(ValueError, match="`names` has 1 entries"):
        Split(np.zeros(2), np.zeros(2), labels, names=("x",))
