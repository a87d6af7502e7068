"""What passes over data have in common: their order, epochs, whole batches."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

# What is mapped over data here is TensorFlow operations alone. AutoGraph would
# rewrite each function, 10 to 70 ms of work, to find no branch of Python's.
as_is = tf.autograph.experimental.do_not_convert

# Batches that are made while another is used. Left to TensorFlow they become
# sixteen, 300 MB of pictures, which costs no less time.
AHEAD = 2
# A set that takes no more than this once it is decoded is decoded once.
_REMEMBERED_BYTES = 2**28
# A shuffle of a stream looks this many examples ahead, fewer if they would
# take more room than this; a list of examples is permuted whole.
_SHUFFLE_BUFFER = 10_000
_SHUFFLE_BYTES = 2**30


def permuted(size: int, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
    """Gives the numbers below `size` in an order made from seed and epoch."""
    order = tf.random.experimental.stateless_shuffle(
        tf.range(size, dtype=tf.int64),
        seed=tf.stack([tf.cast(seed, tf.int64), epoch]),
    )
    return tf.data.Dataset.from_tensor_slices(order)


def shuffled(
    dataset: tf.data.Dataset, size: int, seed: int, epoch: tf.Tensor
) -> tf.data.Dataset:
    """Shuffles a stream by two seeds, of which the second may be a tensor.

    `Dataset.shuffle` mixes in the global seed, on which an order must not
    depend, and fails on a tensor where that seed is 0 (TensorFlow 2.21).

    Args:
        dataset: Any dataset of a known number of elements; the same number,
            `size` and seeds give the same order, whatever the elements are.
        size: How many examples it looks ahead.
        seed: The first seed.
        epoch: The second.
    """
    components = tf.nest.flatten(dataset.element_spec)
    mixed = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=tf.constant(size, tf.int64),
        # Two seeds of 0 would mean: at random.
        seed=tf.constant(seed + 1, tf.int64),
        seed2=epoch,
        output_types=[component.dtype for component in components],
        output_shapes=[component.shape for component in components],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(mixed, dataset.element_spec)


def look_ahead(dataset: tf.data.Dataset) -> int:
    """How many examples to shuffle among: what a gigabyte holds, if known."""
    room = sum(
        tensor.dtype.size * (tensor.shape.num_elements() or 0)
        for tensor in tf.nest.flatten(dataset.element_spec)
    )
    return max(min(_SHUFFLE_BUFFER, _SHUFFLE_BYTES // max(room, 1)), 1)


def endless(
    one_pass: Callable[[tf.Tensor], tf.data.Dataset],
    first_epoch: int,
    ahead: int = AHEAD,
) -> tf.data.Dataset:
    """Puts the passes of all epochs one behind the other.

    Args:
        one_pass: Gives the batches of an epoch by its number.
        first_epoch: The epoch to begin with.
        ahead: Batches that are made while another is used.
    """
    epochs = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return _prefetched(epochs.flat_map(as_is(one_pass)), ahead)


def skipped(epoch: tf.Tensor, first_epoch: int, first_step: int):
    """How many batches of an epoch were used before: none but of the first.

    Args:
        epoch: The number of the epoch.
        first_epoch: The one that was begun already.
        first_step: Steps that were taken in it.

    Returns:
        0, or an integer tensor.
    """
    if not first_step:
        return 0
    return tf.where(epoch == first_epoch, np.int64(first_step), np.int64(0))


def counted(
    batches: tf.data.Dataset, steps: int, ahead: int = AHEAD
) -> tf.data.Dataset:
    """Returns one pass of batches, which says how many there are."""
    known = tf.data.experimental.assert_cardinality(steps)
    return _prefetched(batches, ahead).apply(known)


def _prefetched(batches: tf.data.Dataset, ahead: int) -> tf.data.Dataset:
    return batches.prefetch(ahead) if ahead else batches


def fill_up(batch_size: int, inputs, targets):
    """Fills a batch up with its first example, at weight zero.

    A strategy of several replicas averages replicas of unequal size as if
    they were equal; the weights of the real examples add up to `batch_size`,
    so that the mean over the batch is right.

    Args:
        batch_size: How many examples there will be.
        inputs: Tensors `[at most batch_size, ...]`.
        targets: As many.

    Returns:
        Inputs, targets and weights `[batch_size]`.
    """
    real = tf.shape(targets)[0]
    index = tf.range(batch_size)
    is_real = index < real
    index = tf.where(is_real, index, 0)
    inputs, targets = tf.nest.map_structure(
        lambda t: tf.ensure_shape(
            tf.gather(t, index), [batch_size, *t.shape[1:]]
        ),
        (inputs, targets),
    )
    weight = batch_size / tf.cast(real, tf.float32)
    return inputs, targets, tf.where(is_real, weight, 0.0)


def remembered(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Keeps a small set in memory, which is the same in every pass."""
    specs = tf.nest.flatten(dataset.element_spec)
    sizes = [
        (spec.shape[1:].num_elements() or 0) * spec.dtype.size for spec in specs
    ]
    first = next(iter(dataset.take(1)), None)
    rows = 0 if first is None else len(tf.nest.flatten(first)[0])
    total = sum(sizes) * rows * int(dataset.cardinality())
    return dataset.cache() if 0 < total <= _REMEMBERED_BYTES else dataset
