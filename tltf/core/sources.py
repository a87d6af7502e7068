"""Arrays and datasets as people have them, checked before use."""

import numpy as np
import tensorflow as tf

from tltf.errors import DataError

# How many labels are read twice, to see that their order is fixed.
_READ_TWICE = 512


def arrays(pair: tuple, part: str) -> tuple:
    """Checks `(inputs, labels)` and makes NumPy arrays of them.

    Args:
        pair: Arrays, tensors, lists or pandas columns; inputs perhaps a dict.
        part: Name of the part, for the message.

    Raises:
        DataError: Their numbers differ, or a text or pixel is missing.
    """
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(
            f"`{part}` must be a pair (inputs, labels)."
            f" Received: {type(pair).__name__}"
        )
    inputs, labels = pair
    if isinstance(inputs, dict):
        inputs = {name: _array(v, part) for name, v in inputs.items()}
    else:
        inputs = _array(inputs, part)
    labels = _plain(labels)
    for values in tf.nest.flatten(inputs):
        if len(values) != len(labels) or len(labels) == 0:
            raise DataError(
                f"`{part}` has {len(values)} inputs and {len(labels)} labels;"
                " as many of the one as of the other are needed, and at least"
                " one."
            )
    return inputs, labels


def note_on_range(inputs) -> str | None:
    """Says that pictures look scaled, where 0..255 is expected."""
    if isinstance(inputs, dict) or inputs.dtype.kind != "f":
        return None
    if inputs.ndim != 4 or inputs.shape[-1] not in (1, 3):
        return None
    low, high = inputs.min(), inputs.max()
    if low < -1 or high > 1:
        return None
    return (
        f"Pictures have values {low:.2g}..{high:.2g}, where 0..255 is expected:"
        " the scaling is inside the model. Give them unscaled."
    )


def dataset(
    given: tf.data.Dataset, part: str, kind: str | None = None
) -> tuple[tf.data.Dataset, np.ndarray]:
    """Unbatches a dataset of `(inputs, labels)` and reads its labels.

    Args:
        given: The dataset, batched or not.
        part: Name of the part, for the message.
        kind: Kind of the labels, if known.

    Returns:
        The dataset of single examples, and all labels in its order.

    Raises:
        DataError: It is endless, empty, or gives another order each time.
    """
    if not isinstance(given, tf.data.Dataset):
        raise TypeError(
            f"`{part}` must be a tf.data.Dataset; for arrays there is"
            f" Splits.from_arrays. Received: {type(given).__name__}"
        )
    spec = given.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise DataError(
            f"`{part}` must give pairs (inputs, labels). Received: {spec}"
        )
    if given.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise DataError(f"`{part}` is endless; leave out its repeat().")
    first = next(iter(given), None)
    if first is None:
        raise DataError(f"`{part}` is empty.")
    is_open = spec[1].shape.rank == 1 and spec[1].shape[0] is None
    is_batched = _is_batched(*first, kind, is_open)
    single = given.unbatch() if is_batched else given
    labels = single.map(lambda _, label: label)
    values = np.array(list(labels.as_numpy_iterator()))
    again = np.array(list(labels.take(_READ_TWICE).as_numpy_iterator()))
    if not np.array_equal(values[:_READ_TWICE], again):
        raise DataError(
            f"`{part}` gives its examples in another order each time, so that"
            " predictions could not be told apart. Leave out shuffle(), or"
            " say shuffle=False: training shuffles by itself."
        )
    return single, values


def _array(values, part: str) -> np.ndarray:
    values = _plain(values)
    if values.dtype == object:
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        _check_texts(values, part)
    # The sum is not finite if one of the values is not; no copy is made.
    elif values.dtype.kind == "f" and not np.isfinite(values.sum(dtype="f8")):
        rows = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        raise DataError(
            f"`{part}` row {int(np.argmin(rows))} has values that are not"
            " finite."
        )
    return values


def _plain(values) -> np.ndarray:
    """Makes an array; texts stay objects, as long as each of them is.

    NumPy's own string arrays give every text the room of the longest.
    """
    is_list = isinstance(values, (list, tuple)) and len(values) > 0
    if is_list and isinstance(values[0], (str, bytes)):
        return np.array(values, dtype=object)
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError(
            "Inputs differ in shape, so that they make no array. Bring them"
            " to one size first, or use files."
        ) from None


def _check_texts(values: np.ndarray, part: str) -> None:
    for row, value in enumerate(values):
        if not isinstance(value, (str, bytes)):
            shown = repr(value)[:60]
            raise DataError(
                f"`{part}` row {row} is no text: {shown}. Leave rows without"
                " text out; pictures must be one numeric array."
            )


def _is_batched(inputs, labels, kind: str | None, is_open: bool) -> bool:
    """Whether an element holds several examples, judged by its shapes.

    `is_open` says that the labels are a list of no fixed length, as
    `batch()` without `drop_remainder` makes them.
    """
    inputs = tf.nest.flatten(inputs)
    rank = len(labels.shape)
    if rank == 0:
        return False
    if kind == "multi_label" or rank == 2:
        return rank == 2
    size = labels.shape[0]
    if any(len(x.shape) == 0 or x.shape[0] != size for x in inputs):
        return False
    # One-hot labels of a picture with as many rows as there are classes.
    is_picture = len(inputs[0].shape) == 3 and inputs[0].shape[-1] in (1, 3)
    return is_open or not is_picture or kind == "regression"
