"""A part of the data with its features in place of its examples."""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from tltf.core import passes
from tltf.core.cache.table import Table
from tltf.core.graph import Cut, Features
from tltf.core.preprocess import Preprocess
from tltf.core.split import Split

_FIRST_EPOCH = np.int64(0)


@dataclasses.dataclass(frozen=True)
class FeatureSource:
    """Gives batches as `Split` does, read from a table.

    Order, targets and weights are those that the split itself gives for the
    same seed and epoch; raw inputs that cross the cut are read from it.

    Args:
        split: The part.
        cut: What crosses.
        table: Its rows, `views` times the examples of the split. With views
            its last column are the targets, which some augmentation mixes.
        preprocess: Of the split's raw examples.
        raw_names: Names of the model's inputs, None if it has one alone.
        views: How many augmented views each example has; 0 for none but
            the example as it is. An epoch reads one of them, in turn.
    """

    split: Split
    cut: Cut
    table: Table
    preprocess: Preprocess | None
    raw_names: tuple[str, ...] | None = None
    views: int = 0

    def passes(
        self,
        *,
        seed: int | None = None,
        first_epoch: int = 0,
        first_step: int = 0,
        pad: bool = False,
        whole: bool = False,
    ) -> tf.data.Dataset:
        """As `Split.passes`, of `(Features, targets)`."""
        steps = self.split.steps_of(whole)

        def one_pass(epoch):
            skip = passes.skipped(epoch, first_epoch, first_step)
            batches = self._batches(epoch, seed, skip).take(steps - skip)
            return self._filled(batches, pad)

        return passes.endless(one_pass, first_epoch, self._ahead)

    def one_pass(self, *, pad: bool = False) -> tf.data.Dataset:
        """As `Split.one_pass`, of `(Features, targets)`."""
        batches = self._filled(self._batches(_FIRST_EPOCH, None), pad)
        return passes.counted(batches, self.split.steps, self._ahead)

    def inputs(self) -> tf.data.Dataset:
        """The features alone, in the order of the examples."""
        return self._batches(_FIRST_EPOCH, None).map(
            passes.as_is(lambda inputs, _: inputs)
        )

    @property
    def _ahead(self) -> int:
        """To copy a batch within memory takes less time than room."""
        return 0 if self.table.where == "memory" else 1

    def _filled(self, batches, pad):
        if not pad:
            return batches
        size = self.split.batch_size
        return batches.map(
            passes.as_is(lambda *batch: passes.fill_up(size, *batch))
        )

    def _batches(self, epoch, seed, skip=0):
        order = None if seed is None else (seed, epoch)
        rows = self.split.rows(order, skip)
        if not self.cut.raw:
            return rows.map(
                passes.as_is(lambda index: self._read(index, epoch))
            )
        examples = self.split.read(order, self.preprocess, skip)
        return tf.data.Dataset.zip(rows, examples).map(
            passes.as_is(
                lambda index, example: self._read(index, epoch, example[0])
            )
        )

    def _read(self, index, epoch, inputs=None):
        rows = index
        if self.views:
            rows = rows + (epoch % self.views) * len(self.split)
        read = self.table.gather(rows)
        if self.views:
            targets = read.pop()
        else:
            targets = self.split.labels.encode(
                tf.gather(self.split.targets, index)
            )
        return self._join(read, inputs), targets

    def _join(self, made, inputs) -> Features:
        """Puts raw inputs between what was read, in the order of the cut."""
        made, raw = iter(made), raw_inputs(inputs, self.raw_names)
        return Features(
            tuple(
                raw[int(address.removeprefix("input:"))]
                if address.startswith("input:")
                else next(made)
                for address in self.cut.tensors
            )
        )


def raw_inputs(inputs, names: tuple[str, ...] | None) -> list[tf.Tensor]:
    """Lists a batch's inputs in the order in which a graph numbers them."""
    if names is not None and isinstance(inputs, Mapping):
        return [inputs[name] for name in names]
    return keras.tree.flatten(inputs)
