"""Features of the examples of one part, as rows of arrays."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tltf.errors import DataError


class Uneven(DataError):
    """Examples have features of different shapes."""


@dataclasses.dataclass(frozen=True)
class Column:
    """One tensor of every example.

    Args:
        shape: Of one example.
        dtype: What the model takes.
        stored: What is stored; read back, it is cast to `dtype`.
    """

    shape: tuple[int, ...]
    dtype: tf.DType
    stored: tf.DType

    @classmethod
    def of(cls, tensor: tf.Tensor, cache_dtype: str) -> "Column":
        """Describes how the rows of a batch are to be stored.

        Args:
            tensor: A batch.
            cache_dtype: `"float32"` stores every dtype as it is;
                `"float16"` stores float32 in half the bytes.
        """
        is_halved = cache_dtype == "float16" and tensor.dtype == tf.float32
        stored = tf.float16 if is_halved else tensor.dtype
        return cls(tuple(tensor.shape[1:]), tensor.dtype, stored)

    @property
    def row_bytes(self) -> int:
        """What one example takes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.stored.size

    @property
    def numpy_dtype(self) -> np.dtype:
        """What the array is made of; NumPy has no bfloat16 of its own."""
        is_foreign = self.stored == tf.bfloat16
        return np.dtype("u2" if is_foreign else self.stored.as_numpy_dtype)

    def to_array(self, tensor: tf.Tensor) -> np.ndarray:
        """Turns a batch into what is stored.

        Raises:
            OverflowError: A finite value is infinite as float16.
            Uneven: Its examples have another shape than the column's.
        """
        if tuple(tensor.shape[1:]) != self.shape:
            raise Uneven(
                "features of different examples differ in shape, so that they"
                " make no table"
            )
        values = tf.cast(tensor, self.stored)
        if self.stored != self.dtype:
            finite = tf.reduce_all(tf.math.is_finite(values))
            if not finite and tf.reduce_all(tf.math.is_finite(tensor)):
                raise OverflowError("features are beyond float16's 65,504")
        # Unlike `numpy()` this does not copy.
        return np.asarray(values).view(self.numpy_dtype)

    def to_tensor(self, values: tf.Tensor) -> tf.Tensor:
        """Turns stored rows back into what the model takes."""
        if self.stored == tf.bfloat16:
            values = tf.bitcast(values, tf.bfloat16)
        values = tf.ensure_shape(values, [None, *self.shape])
        return tf.cast(values, self.dtype)

    def get_config(self) -> dict:
        """Returns plain data that `from_config` takes back."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype.name,
            "stored": self.stored.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Column":
        """Makes it again from `get_config`."""
        return cls(
            tuple(config["shape"]),
            tf.as_dtype(config["dtype"]),
            tf.as_dtype(config["stored"]),
        )


@dataclasses.dataclass(frozen=True)
class Table:
    """The columns of all examples, in memory or mapped from files.

    Args:
        columns: What they are.
        arrays: An array `[rows, ...]` for each.
        where: `"memory"` or `"disk"`.
    """

    columns: tuple[Column, ...]
    arrays: tuple[np.ndarray, ...]
    where: str

    @property
    def bytes(self) -> int:
        """What it takes."""
        return sum(array.nbytes for array in self.arrays)

    def gather(self, rows: tf.Tensor) -> list[tf.Tensor]:
        """Reads rows, inside of a `tf.data` map.

        Args:
            rows: Their numbers, int64 `[batch]`.

        Returns:
            A tensor `[batch, ...]` for each column.
        """
        read = tf.numpy_function(
            lambda index: [array[index] for array in self.arrays],
            [rows],
            [column.numpy_dtype for column in self.columns],
        )
        return [
            column.to_tensor(values)
            for column, values in zip(self.columns, read, strict=True)
        ]


class MemoryTable:
    """Collects rows in memory, in their order.

    Args:
        columns: What they are.
        rows: How many there will be.
    """

    where = "memory"

    def __init__(self, columns: Sequence[Column], rows: int):
        self._columns = tuple(columns)
        self._arrays = [
            np.empty((rows, *column.shape), column.numpy_dtype)
            for column in columns
        ]
        self._filled = 0

    @property
    def bytes(self) -> int:
        """What it takes."""
        return sum(array.nbytes for array in self._arrays)

    def append(self, batch: Sequence[np.ndarray]) -> None:
        """Adds the next rows, an array for each column."""
        end = self._filled + len(batch[0])
        for array, values in zip(self._arrays, batch, strict=True):
            array[self._filled : end] = values
        self._filled = end

    def finish(self) -> Table:
        """Returns the table."""
        return Table(self._columns, tuple(self._arrays), "memory")

    def discard(self) -> None:
        """Gives the memory back."""
        self._arrays = []
