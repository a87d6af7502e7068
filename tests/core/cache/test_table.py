import numpy as np
import pytest
import tensorflow as tf

from tltf.core.cache.shelf import Shelf
from tltf.core.cache.table import Column, MemoryTable


def stored_in(place, folder, columns, rows):
    if place == "memory":
        return MemoryTable(columns, rows)
    return Shelf(folder).writer("k" * 64, columns, rows)


def round_trip(place, folder, tensor, dtype="float32"):
    """Stores a batch in two pieces and reads all of its rows."""
    column = Column.of(tensor, dtype)
    table = stored_in(place, folder, [column], len(tensor))
    for piece in (tensor[:2], tensor[2:]):
        table.append([column.to_array(piece)])
    table = table.finish()
    return table, gathered(table, range(len(tensor)))


def gathered(table, rows):
    """Reads rows of the first column."""
    rows = tf.data.Dataset.from_tensors(tf.constant(list(rows), tf.int64))
    return next(iter(rows.map(table.gather)))[0]


def bits(tensor):
    return tf.io.serialize_tensor(tensor).numpy()


TENSORS = {
    "float32": tf.constant([[1 / 3, -np.inf], [0.0, np.nan], [1e-40, 3e38]]),
    "bfloat16": tf.cast(
        [[1 / 3, 3e38], [-0.0, 1e-40], [np.inf, 7]], "bfloat16"
    ),
    "float16": tf.cast([[1 / 3, 65504], [0, -1]] * 2, "float16"),
    "int32": tf.constant([[1, -(2**31)], [3, 2**31 - 1]] * 2),
    "bool": tf.constant([[True, False], [False, True]] * 2),
    "float64": tf.constant([[1 / 3, 1e300], [0.1, 0.2]] * 2, tf.float64),
    "scalars": tf.constant([0.5, 1.5, 2.5]),
}


@pytest.mark.parametrize("place", ["memory", "disk"])
@pytest.mark.parametrize("name", TENSORS)
def test_features_come_back_bit_for_bit(place, name, tmp_path):
    tensor = TENSORS[name]
    table, back = round_trip(place, tmp_path, tensor)
    assert bits(back) == bits(tensor)
    assert table.where == place
    assert table.bytes == tf.size(tensor).numpy() * tensor.dtype.size


def test_float16_takes_half_the_bytes_and_rounds():
    values = np.random.default_rng(0).normal(size=(9, 7)).astype("float32")
    table, back = round_trip("memory", None, tf.constant(values), "float16")
    assert table.bytes == 9 * 7 * 2
    assert back.dtype == tf.float32
    np.testing.assert_array_equal(
        back, values.astype("float16").astype("float32")
    )


@pytest.mark.parametrize("name", ["bfloat16", "int32", "bool", "float64"])
def test_float16_is_for_float32_alone(name):
    column = Column.of(TENSORS[name], "float16")
    assert column.stored == TENSORS[name].dtype


def test_what_float16_cannot_hold_is_noticed():
    column = Column.of(tf.zeros([1, 2]), "float16")
    column.to_array(tf.constant([[65504.0, np.inf]]))
    column.to_array(tf.constant([[65504.0, np.nan]]))
    with pytest.raises(OverflowError, match="65,504"):
        column.to_array(tf.constant([[65520.0, 0.0]]))


def test_rows_are_gathered_in_any_order():
    values = tf.reshape(tf.range(24.0), [6, 2, 2])
    table, _ = round_trip("memory", None, values)
    rows = [5, 0, 0, 3]
    np.testing.assert_array_equal(
        gathered(table, rows), tf.gather(values, rows)
    )


def test_examples_of_another_shape_are_refused():
    """They would be broadcast into the rows of the first."""
    column = Column.of(tf.zeros([1, 2, 3]), "float32")
    column.to_array(tf.zeros([4, 2, 3]))
    with pytest.raises(ValueError, match="shape"):
        column.to_array(tf.zeros([1, 1, 3]))


def test_a_column_survives_its_configuration():
    column = Column.of(tf.zeros([1, 2, 3]), "float16")
    assert Column.from_config(column.get_config()) == column
