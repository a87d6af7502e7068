"""Features come in the order, and with the targets, of their examples."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES
from tltf.core.cache.source import FeatureSource
from tltf.core.cache.table import Column, Table
from tltf.core.graph import Cut
from tltf.core.labels import Labels
from tltf.core.split import Split

ROWS = 11
MADE = Cut(("some_layer#0:0",))


def split_of(kind="arrays", batch_size=4):
    """Examples whose number is in all of their inputs."""
    number = np.arange(ROWS, dtype="float32")
    examples = {"b": number[:, None], "a": number, "unused": number}
    targets = (np.arange(ROWS) % 3).astype("int32")
    if kind == "stream":
        examples = tf.data.Dataset.from_tensor_slices((examples, targets))
    return Split(examples, targets, Labels(CLASSES), batch_size=batch_size)


def source_of(split, cut=MADE, views=0, **settings):
    """Features that are ten times the number of their row."""
    values = 10 * np.arange(ROWS * max(views, 1), dtype="float32")
    arrays, columns = [values], [Column((), tf.float32, tf.float32)]
    if views:
        arrays.append(np.repeat(values[:, None], 3, axis=1))
        columns.append(Column((3,), tf.float32, tf.float32))
    table = Table(tuple(columns), tuple(arrays), "memory")
    return FeatureSource(split, cut, table, None, ("a", "b"), views)


def epochs_of(dataset, steps, count=1):
    """The batches of some epochs."""
    batches = list(dataset.take(steps * count).as_numpy_iterator())
    return [batches[i * steps : (i + 1) * steps] for i in range(count)]


@pytest.mark.parametrize("kind", ["arrays", "stream"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("pad", [False, True])
def test_batches_are_those_of_the_split(kind, whole, pad):
    split = split_of(kind)
    settings = {"seed": 3, "first_epoch": 2, "whole": whole, "pad": pad}
    steps = 2 if whole else 3
    ours = epochs_of(source_of(split).passes(**settings), steps, 2)
    theirs = epochs_of(split.passes(**settings), steps, 2)
    assert [b[0]["a"].tolist() for b in theirs[0]] != [
        b[0]["a"].tolist() for b in theirs[1]
    ]
    for one, other in zip(
        ours[0] + ours[1], theirs[0] + theirs[1], strict=True
    ):
        np.testing.assert_array_equal(one[0].tensors[0], 10 * other[0]["a"])
        for a, b in zip(one[1:], other[1:], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["arrays", "stream"])
def test_raw_inputs_are_those_of_the_same_examples(kind):
    """They are numbered by their sorted names, and in the cut's order."""
    cut = Cut(("input:1", "some_layer#0:0", "input:0"))
    source = source_of(split_of(kind), cut)
    for features, _ in epochs_of(source.passes(seed=1), 3)[0]:
        second, made, first = features.tensors
        np.testing.assert_array_equal(made, 10 * first)
        np.testing.assert_array_equal(second, first[:, None])


def test_one_pass_is_in_order_and_ends():
    source = source_of(split_of())
    assert int(source.one_pass().cardinality()) == 3
    batches = list(source.one_pass().as_numpy_iterator())
    made = np.concatenate([features.tensors[0] for features, _ in batches])
    np.testing.assert_array_equal(made, 10 * np.arange(ROWS))
    alone = [f.tensors[0] for f in source.inputs().as_numpy_iterator()]
    np.testing.assert_array_equal(np.concatenate(alone), made)


@pytest.mark.parametrize("first_epoch", [0, 4])
def test_an_epoch_reads_one_view_and_the_next_another(first_epoch):
    source = source_of(split_of(), views=2)
    epochs = epochs_of(
        source.passes(seed=0, first_epoch=first_epoch), 3, count=3
    )
    for number, batches in enumerate(epochs):
        made = np.concatenate([f.tensors[0] for f, _ in batches])
        view = (first_epoch + number) % 2
        expected = 10 * (np.arange(ROWS) + view * ROWS)
        np.testing.assert_array_equal(np.sort(made), expected)
        # Targets are those of the view, which may have mixed them.
        for features, targets in batches:
            np.testing.assert_array_equal(
                targets, np.repeat(features.tensors[0][:, None], 3, axis=1)
            )
