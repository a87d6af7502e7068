"""One part of the data: its examples in order, and what is known of them."""

import dataclasses
import numbers
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from tltf.core import passes
from tltf.core.augment import Augment
from tltf.core.labels import Labels
from tltf.core.preprocess import Preprocess


@dataclasses.dataclass(frozen=True)
class Split:
    """The training, validation or test part of some data.

    Iterating gives batches `(inputs, labels)`; `batches()` gives them as a
    `tf.data.Dataset` for a loop of your own.

    Args:
        examples: The raw examples: NumPy array (or dict of arrays) whose
            first axis counts them, or an unbatched `tf.data.Dataset` of
            `(raw, label)` in a fixed order.
        targets: Class numbers `[size]`, or values `[size, units]`.
        labels: What the targets mean.
        names: Where each example came from (a path, a row), if known.
        preprocess: Turns one raw example into the model's input. None for
            examples that are ready, or whose model will bring its own.
        is_files: Whether the raw examples are paths of files to be read.
        batch_size: Global batch size.
    """

    examples: object
    targets: np.ndarray
    labels: Labels
    names: tuple[str, ...] | None = None
    preprocess: Preprocess | None = None
    is_files: bool = False
    batch_size: int = 32

    def __post_init__(self):
        if not isinstance(self.batch_size, numbers.Integral) or (
            self.batch_size < 1
        ):
            raise ValueError(
                "`batch_size` must be a whole number of at least 1."
                f" Received: {self.batch_size!r}"
            )
        if self.names is not None and len(self.names) != len(self.targets):
            raise ValueError(
                f"`names` has {len(self.names)} entries for"
                f" {len(self.targets)} examples."
            )

    def __len__(self) -> int:
        """How many examples there are."""
        return len(self.targets)

    def __iter__(self) -> Iterator:
        return iter(self.batches())

    @property
    def steps(self) -> int:
        """How many batches one pass takes."""
        return -(-len(self) // self.batch_size)

    def steps_of(self, whole: bool) -> int:
        """How many batches a pass takes, perhaps of whole ones alone.

        Where there is no whole batch, the partial one counts.
        """
        return max(len(self) // self.batch_size, 1) if whole else self.steps

    @property
    def class_counts(self) -> dict[str, int] | None:
        """How many examples each class has; None for regression."""
        if self.labels.kind == "regression":
            return None
        if self.labels.are_classes:
            counts = np.bincount(
                self.targets.astype(int), minlength=len(self.labels.classes)
            )
        else:
            counts = self.targets.sum(axis=0)
        return dict(zip(self.labels.classes, map(int, counts), strict=True))

    def take(self, rows: np.ndarray) -> "Split":
        """Returns some of the examples, in the order in which they lie here.

        Args:
            rows: Numbers of the examples.
        """
        rows = np.unique(rows)
        if isinstance(self.examples, tf.data.Dataset):
            examples = _only(self.examples, rows, len(self))
        else:
            examples = tf.nest.map_structure(lambda v: v[rows], self.examples)
        names = self.names and tuple(self.names[row] for row in rows)
        return dataclasses.replace(
            self, examples=examples, targets=self.targets[rows], names=names
        )

    def batches(self, preprocess: Preprocess | None = None) -> tf.data.Dataset:
        """Returns the examples in order, as batches `(inputs, labels)`.

        Args:
            preprocess: Used in place of the split's own.

        Returns:
            A `tf.data.Dataset`. Labels are as in `targets`, so that
            `sparse_categorical_crossentropy` fits where classes are numbers.
        """
        return self.read(None, preprocess).prefetch(passes.AHEAD)

    def passes(
        self,
        *,
        preprocess: Preprocess | None = None,
        seed: int | None = None,
        first_epoch: int = 0,
        first_step: int = 0,
        augment: Augment | None = None,
        pad: bool = False,
        whole: bool = False,
    ) -> tf.data.Dataset:
        """Returns endless batches for training, `steps` of them an epoch.

        The order of an epoch follows from the seed and the number of the
        epoch alone, so that training can go on anywhere.

        Args:
            preprocess: Used in place of the split's own.
            seed: Shuffles; None keeps the order.
            first_epoch: The epoch to begin with.
            first_step: How many steps of that epoch were taken already.
            augment: Applied to each batch, seeded by epoch and step.
            pad: Fills the last batch by repeating its first example, with
                weights that make the mean over the batch right: a strategy
                of several replicas averages replicas of unequal size as if
                they were equal.
            whole: Leaves a partial last batch out, for layers that learn from
                the batch as a whole. See `steps_of`.

        Returns:
            A `tf.data.Dataset` of `(inputs, targets)`, encoded for the loss,
            or `(inputs, targets, weights)` with `pad`.
        """

        def one_pass(epoch):
            order = None if seed is None else (seed, epoch)
            skip = passes.skipped(epoch, first_epoch, first_step)
            batches = self._encoded(self.read(order, preprocess, skip))
            if augment is not None:
                batches = batches.enumerate(epoch * self.steps + skip).map(
                    lambda step, batch: augment(*batch, seed or 0, step)
                )
            batches = batches.take(self.steps_of(whole) - skip)
            return self._padded(batches) if pad else batches

        return passes.endless(one_pass, first_epoch)

    def one_pass(
        self, *, preprocess: Preprocess | None = None, pad: bool = False
    ) -> tf.data.Dataset:
        """Returns one pass in order, encoded for the loss.

        Args:
            preprocess: Used in place of the split's own.
            pad: As for `passes`.
        """
        # Not the first of `passes`: those read on into the next one.
        batches = self._encoded(self.read(None, preprocess))
        batches = self._padded(batches) if pad else batches
        return passes.counted(batches, self.steps)

    def read(
        self,
        order: tuple[int, tf.Tensor] | None = None,
        preprocess: Preprocess | None = None,
        skip: int | tf.Tensor = 0,
    ) -> tf.data.Dataset:
        """Returns one pass of batches `(inputs, labels)`.

        Args:
            order: Seed and epoch; None for the order in which they lie.
            preprocess: Used in place of the split's own.
            skip: How many batches are left out, at little cost.
        """
        examples = self.in_order if order is None else self._shuffled(*order)
        if not _is_zero(skip):
            examples = examples.skip(skip * self.batch_size)
        return self._batched(examples, preprocess)

    def rows(
        self,
        order: tuple[int, tf.Tensor] | None,
        skip: int | tf.Tensor = 0,
    ) -> tf.data.Dataset:
        """Returns the numbers of the examples that `read` gives, in batches.

        Args:
            order: As for `read`.
            skip: The same.
        """
        if order is None:
            rows = tf.data.Dataset.range(len(self))
        elif isinstance(self.examples, tf.data.Dataset):
            rows = passes.shuffled(
                tf.data.Dataset.range(len(self)), self._look_ahead, *order
            )
        else:
            rows = passes.permuted(len(self), *order)
        rows = rows.batch(self.batch_size)
        return rows if _is_zero(skip) else rows.skip(skip)

    @property
    def kind(self) -> str | None:
        """`"image"` or `"text"` where that is known."""
        if self.preprocess is not None:
            return self.preprocess.kind
        if self.is_files:
            return "image"
        # A stream of strings may be of either.
        is_text = isinstance(self.examples, np.ndarray) and isinstance(
            self.examples.flat[0], str
        )
        return "text" if is_text else None

    @property
    def in_order(self) -> tf.data.Dataset:
        """The raw examples `(raw, label)`, one by one, as they lie."""
        if isinstance(self.examples, tf.data.Dataset):
            return self.examples
        return tf.data.Dataset.from_tensor_slices((self.examples, self.targets))

    @property
    def _look_ahead(self) -> int:
        return min(len(self), passes.look_ahead(self.examples))

    def _shuffled(self, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
        if isinstance(self.examples, tf.data.Dataset):
            return passes.shuffled(self.examples, self._look_ahead, seed, epoch)
        everything = tf.nest.map_structure(
            tf.convert_to_tensor, (self.examples, self.targets)
        )
        return passes.permuted(len(self), seed, epoch).map(
            lambda i: tf.nest.map_structure(
                lambda t: tf.gather(t, i), everything
            )
        )

    def _encoded(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(
            passes.as_is(
                lambda inputs, labels: (inputs, self.labels.encode(labels))
            )
        )

    def _padded(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(
            passes.as_is(lambda *batch: passes.fill_up(self.batch_size, *batch))
        )

    def _batched(
        self, examples: tf.data.Dataset, preprocess: Preprocess | None
    ) -> tf.data.Dataset:
        preprocess = preprocess or self.preprocess
        if preprocess is not None and not self._is_raw(examples):
            preprocess = None
        if self.is_files:
            # In one step, where it can be: each takes time of its own.
            if preprocess is not None and not preprocess.is_batched:
                return _parallel(
                    examples, lambda path: preprocess(tf.io.read_file(path))
                ).batch(self.batch_size)
            examples = _parallel(examples, tf.io.read_file)
        if preprocess is None:
            return examples.batch(self.batch_size)
        if preprocess.is_batched:
            return _parallel(examples.batch(self.batch_size), preprocess)
        return _parallel(examples, preprocess).batch(self.batch_size)

    def _is_raw(self, examples: tf.data.Dataset) -> bool:
        spec = tf.nest.flatten(examples.element_spec[0])
        return len(spec) == 1 and spec[0].dtype == tf.string


def _is_zero(number: int | tf.Tensor) -> bool:
    return isinstance(number, int) and number == 0


def _parallel(examples: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    return examples.map(
        passes.as_is(lambda raw, label: (function(raw), label)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _only(
    examples: tf.data.Dataset, rows: np.ndarray, size: int
) -> tf.data.Dataset:
    chosen = np.zeros(size, bool)
    chosen[rows] = True
    return (
        examples.enumerate()
        .filter(lambda row, _: tf.gather(chosen, row))
        .map(lambda _, example: example)
        .apply(tf.data.experimental.assert_cardinality(len(rows)))
    )
