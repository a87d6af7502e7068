import numpy as np
import pytest
import tensorflow as tf

from tltf.core import passes
from tltf.core.labels import Labels
from tltf.core.split import Split


def stream(shape, dtype=tf.float32):
    spec = (tf.TensorSpec(shape, dtype),)
    return tf.data.Dataset.from_generator(lambda: [], output_signature=spec)


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((512, 512, 3), tf.float32, 2**30 // (512 * 512 * 3 * 4)),
        ((4,), tf.float32, 10_000),
        ((), tf.string, 10_000),
        ((None, None, 3), tf.float32, 10_000),
    ],
)
def test_a_shuffle_of_a_stream_is_bounded_in_bytes(shape, dtype, expected):
    assert passes.look_ahead(stream(shape, dtype)) == expected


def test_what_is_shuffled_does_not_change_the_order():
    epoch = tf.constant(3, tf.int64)
    numbers = tf.data.Dataset.range(20)
    texts = numbers.map(tf.strings.as_string)
    ours, theirs = (
        list(passes.shuffled(data, 6, 1, epoch).as_numpy_iterator())
        for data in (numbers, texts)
    )
    assert [str(number).encode() for number in ours] == theirs
    assert sorted(ours) == list(range(20)) != ours


def test_an_order_follows_from_seed_and_epoch():
    def order(seed, epoch):
        rows = passes.permuted(30, seed, tf.constant(epoch, tf.int64))
        return list(rows.as_numpy_iterator())

    assert order(0, 1) == order(0, 1)
    assert sorted(order(0, 1)) == list(range(30))
    assert order(0, 1) != order(0, 2) != order(1, 2)


def test_weights_of_a_filled_batch_add_up_to_its_size():
    inputs = tf.constant([[1.0], [2.0], [3.0]])
    filled, targets, weights = passes.fill_up(8, inputs, inputs + 1)
    np.testing.assert_array_equal(filled[:, 0], [1, 2, 3, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(targets, filled + 1)
    np.testing.assert_allclose(weights, [8 / 3] * 3 + [0] * 5)


def test_one_pass_reads_every_example_once():
    """A pass that is cut out of endless ones reads on into the next."""
    read = []

    def note(number):
        read.append(int(number))
        return number

    def example(number):
        noted = tf.numpy_function(note, [number], tf.int64)
        return tf.ensure_shape(noted, ()), number % 2

    split = Split(
        tf.data.Dataset.range(20).map(example),
        np.arange(20) % 2,
        Labels(("even", "odd")),
        batch_size=4,
    )
    assert len(list(split.one_pass())) == 5
    assert sorted(read) == list(range(20))
