import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tltf.core.augment import Augment
from tltf.core.labels import Labels
from tltf.core.preprocess import ImagePreprocess
from tltf.core.split import Split
from tltf.core.splits import Splits

LABELS = Labels(("a", "b", "c"))


def numbered(size=20, batch_size=6, kind="array", labels=LABELS):
    """A split whose examples are their own numbers."""
    targets = np.arange(size) % 3
    examples = np.arange(size)
    if kind == "dict":
        examples = {"x": examples, "y": -examples}
    if kind == "texts":
        examples = np.array([str(i) for i in range(size)], dtype=object)
    if kind == "stream":
        examples = tf.data.Dataset.from_tensor_slices((examples, targets))
    names = tuple(map(str, range(size)))
    return Split(examples, targets, labels, names=names, batch_size=batch_size)


def seen(batches, steps):
    """The numbers in each of the first batches."""
    found = []
    for inputs, *_ in itertools.islice(batches, steps):
        inputs = inputs["x"] if isinstance(inputs, dict) else inputs
        found.append([int(x) for x in inputs.numpy()])
    return found


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


KINDS = pytest.mark.parametrize("kind", ["array", "dict", "texts", "stream"])


@KINDS
def test_batches_keep_the_order(kind):
    split = numbered(kind=kind)
    assert flat(seen(split, 99)) == list(range(20))
    labels = np.concatenate([y.numpy() for _, y in split])
    np.testing.assert_array_equal(labels, split.targets)


@KINDS
def test_an_epoch_follows_from_seed_and_number(kind):
    split = numbered(kind=kind)
    steps = split.steps
    assert steps == 4
    epochs = seen(split.passes(seed=1), 3 * steps)
    assert epochs == seen(split.passes(seed=1), 3 * steps)
    parts = [flat(epochs[i : i + steps]) for i in (0, steps, 2 * steps)]
    assert all(sorted(part) == list(range(20)) for part in parts)
    assert len({tuple(part) for part in parts}) == 3
    assert epochs != seen(split.passes(seed=2), 3 * steps)
    unshuffled = flat(seen(split.passes(), 2 * steps))
    assert unshuffled == [*range(20), *range(20)]


@KINDS
@pytest.mark.parametrize("seed", [0, 1])
def test_resuming_equals_never_having_stopped(kind, seed):
    split = numbered(kind=kind)
    undisturbed = seen(split.passes(seed=seed), 12)
    tf.random.set_seed(99)  # A global seed has no say.
    for epoch in (1, 2):
        resumed = split.passes(seed=seed, first_epoch=epoch)
        assert seen(resumed, 4) == undisturbed[4 * epoch : 4 * epoch + 4]


def test_targets_stay_with_their_examples():
    split = numbered()
    for numbers, targets in itertools.islice(split.passes(seed=1), 8):
        np.testing.assert_array_equal(
            np.argmax(targets, axis=1), numbers.numpy() % 3
        )


def test_padding_makes_batches_full_and_the_mean_right():
    split = numbered(20, 6)
    batches = list(itertools.islice(split.passes(seed=0, pad=True), 4))
    plain = list(itertools.islice(split.passes(seed=0), 4))
    for (x, y, weights), (real, _) in zip(batches, plain, strict=True):
        assert x.shape == (6,) and y.shape == (6, 3) and weights.shape == (6,)
        assert float(tf.reduce_sum(weights)) == pytest.approx(6)
        mean = float(tf.reduce_mean(weights * tf.cast(x, tf.float32)))
        assert mean == pytest.approx(float(np.mean(real)))
    assert list(batches[-1][2].numpy()) == [3, 3, 0, 0, 0, 0]


def test_padding_of_files_and_dicts():
    padded = numbered(kind="dict").passes(pad=True)
    inputs, _, weights = list(itertools.islice(padded, 4))[-1]
    assert inputs["x"].shape == (6,)
    assert int(tf.math.count_nonzero(weights)) == 2


def test_whole_batches_only():
    split = numbered(20, 6)
    assert split.steps_of(whole=True) == 3
    batches = seen(split.passes(whole=True), 6)
    assert [len(batch) for batch in batches] == [6] * 6
    small = numbered(4, 6)
    assert [len(b) for b in seen(small.passes(whole=True), 2)] == [4, 4]


@KINDS
def test_take_keeps_order_targets_and_names(kind):
    split = numbered(kind=kind).take(np.array([7, 2, 11]))
    assert len(split) == 3 and split.names == ("2", "7", "11")
    assert flat(seen(split, 9)) == [2, 7, 11]
    np.testing.assert_array_equal(split.targets, [2, 1, 2])
    assert sorted(flat(seen(split.passes(seed=0), 1))) == [2, 7, 11]


def test_class_counts():
    assert numbered().class_counts == {"a": 7, "b": 7, "c": 6}


# pictures


@pytest.fixture
def pictures(tmp_path):
    """A split of twelve files, of which each is of one colour."""
    paths = []
    for i in range(12):
        image = np.zeros((9, 7, 3), np.uint8)
        image[:, :3] = 20 * i
        paths.append(str(tmp_path / f"{i}.png"))
        tf.io.write_file(paths[-1], tf.io.encode_png(image))
    return Split(
        np.array(paths, dtype=object),
        np.arange(12) % 3,
        LABELS,
        preprocess=ImagePreprocess((8, 8)),
        is_files=True,
        batch_size=4,
    )


def stacked(batches, steps=3):
    taken = [b[0].numpy() for b in itertools.islice(batches, steps)]
    return np.concatenate(taken)


def test_files_are_read_decoded_and_resized(pictures):
    found = stacked(pictures.batches())
    assert found.shape == (12, 8, 8, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0, 0, 0], 20 * np.arange(12))
    other = pictures.batches(ImagePreprocess((4, 5)))
    assert stacked(other).shape == (12, 4, 5, 3)


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_augmentation_follows_from_the_seed(pictures, strength):
    augment = Augment.of(strength)
    first = stacked(pictures.passes(seed=1, augment=augment), 6)
    again = pictures.passes(seed=1, augment=Augment.of(strength))
    np.testing.assert_array_equal(first, stacked(again, 6))
    other = stacked(pictures.passes(seed=2, augment=augment), 6)
    assert (first != other).any()
    plain = stacked(pictures.passes(seed=1), 6)
    assert (first != plain).any()


def test_augmentation_of_a_resumed_run_is_the_same(pictures):
    whole = stacked(pictures.passes(seed=1, augment=Augment.of("light")), 6)
    resumed = pictures.passes(
        seed=1, first_epoch=1, augment=Augment.of("light")
    )
    np.testing.assert_array_equal(whole[12:], stacked(resumed))


def test_augmentation_differs_from_epoch_to_epoch(pictures):
    # In fixed order, so that only the augmentation can differ.
    augment = Augment.of(keras.layers.RandomTranslation(0.4, 0.4))
    both = stacked(pictures.passes(augment=augment), 6)
    assert (both[:12] != both[12:]).any()


def test_augmentation_never_touches_batches(pictures):
    before = stacked(pictures.batches())
    stacked(pictures.passes(seed=1, augment=Augment.of("strong")))
    np.testing.assert_array_equal(before, stacked(pictures.batches()))


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_order_of_a_stream_does_not_depend_on_the_global_seed(seed):
    """`Dataset.shuffle` fails on a seed 0, and mixes in any other."""
    if seed is None:
        tf.random.set_seed(3)
    else:
        keras.utils.set_random_seed(seed)
    data = tf.data.Dataset.from_tensor_slices(
        (np.arange(20.0).reshape(20, 1), np.arange(20) % 2)
    )
    stream = Splits.from_datasets(data, data, batch_size=20).train
    passes = stream.passes(seed=0).take(2).as_numpy_iterator()
    orders = [batch[0][:, 0].tolist() for batch in passes]
    tf.random.set_seed(99)
    again = stream.passes(seed=0).take(2).as_numpy_iterator()
    assert [batch[0][:, 0].tolist() for batch in again] == orders
    assert orders[0] != orders[1] != sorted(orders[1])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(20))
