"""Integer arrays in the graph: searched, looked up, shifted and thinned."""

import numpy as np
import tensorflow as tf

CODE_POINTS = 0x110000


class IntegerMap:
    """Maps int64 keys to int32 values in the graph, and all others to -1.

    A sorted array, searched: unlike a hash table it is no resource, so nothing
    must be tracked or initialised when a model that uses it is saved.
    """

    def __init__(self, entries: dict[int, int]):
        pairs = sorted(entries.items()) or [(-1, -1)]
        self.keys = np.array([key for key, _ in pairs], np.int64)
        self.values = np.array([value for _, value in pairs], np.int32)

    def __call__(self, keys: tf.Tensor) -> tf.Tensor:
        """Looks up int64 [n] and returns int32 [n]."""
        index = tf.searchsorted(self.keys, keys)
        index = tf.minimum(index, len(self.keys) - 1)
        found = tf.equal(tf.gather(self.keys, index), keys)
        return tf.where(found, tf.gather(self.values, index), -1)


class CodePointTable:
    """One int32 for each code point of Unicode.

    Most stretches of 128 code points are alike and are kept once: tens of
    kilobytes in a saved graph instead of 4 MB.
    """

    def __init__(self, values: np.ndarray):
        blocks, index = np.unique(
            values.reshape(-1, 128), axis=0, return_inverse=True
        )
        self.blocks = blocks.astype(np.int32).reshape(-1)
        self.index = index.astype(np.int32).reshape(-1)

    def __call__(self, code_points: tf.Tensor) -> tf.Tensor:
        """Looks up int32 [n] and returns int32 [n]."""
        block = tf.gather(self.index, code_points // 128)
        return tf.gather(self.blocks, block * 128 + code_points % 128)


def owners_of(row_splits: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Returns the row, int32 [n], that each of a ragged tensor's values is in.

    `RaggedTensor.value_rowids` fills a matrix as wide as the longest row.
    """
    positions = tf.range(tf.size(values, row_splits.dtype))
    return tf.searchsorted(row_splits, positions, side="right") - 1


def pair(first, code_point):
    """Returns one int64 key for a number below 2 ** 31 and a code point."""
    if isinstance(first, tf.Tensor):
        first = tf.cast(first, tf.int64)
        code_point = tf.cast(code_point, tf.int64)
    return first * 2**21 + code_point


def previous(values: tf.Tensor, fill: int) -> tf.Tensor:
    """Returns the values one place later, `fill` coming first."""
    fill = tf.constant([fill], values.dtype)
    return tf.concat([fill, values], 0)[:-1]


def keep(mask: tf.Tensor, *tensors: tf.Tensor) -> list[tf.Tensor]:
    """Keeps what the mask allows of tensors of one length."""
    index = tf.where(mask)[:, 0]
    return [tf.gather(tensor, index) for tensor in tensors]
