"""Computes features of one part in one pass over it."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import tensorflow as tf
from absl import logging

from tltf.core import passes
from tltf.core.augment import Augment
from tltf.core.cache.allot import Room, Wanted
from tltf.core.cache.forward import Forward
from tltf.core.cache.source import FeatureSource
from tltf.core.cache.table import Column
from tltf.core.graph import Cut, Graph
from tltf.core.preprocess import Preprocess
from tltf.core.split import Split


@dataclasses.dataclass(frozen=True)
class Views:
    """Augmented views of every example, made once.

    Args:
        augment: What makes them.
        count: How many of each example.
        seed: Of the run.
    """

    augment: Augment
    count: int
    seed: int


class Filling:
    """One pass over a part, which fills the tables of all that is wanted.

    Args:
        graph: Of the model.
        split: The part.
        preprocess: Of its raw examples.
        forward: What runs the frozen layers.
        room: Where tables go.
        views: Of the examples; None for the examples as they are.
        dtype: `"float32"` or `"float16"`, what is stored.
    """

    def __init__(
        self,
        graph: Graph,
        split: Split,
        preprocess: Preprocess | None,
        forward: Forward,
        room: Room,
        views: Views | None = None,
        dtype: str = "float32",
    ):
        self._graph, self._split, self._preprocess = graph, split, preprocess
        self._forward, self._room = forward, room
        self._views, self._dtype = views, dtype
        count = 1 if views is None else views.count
        self.rows = count * len(split)
        self.steps = -(-self.rows // forward.rows(split.batch_size))

    def run(
        self,
        wanted: Sequence[Wanted],
        start: FeatureSource | None,
        show: Callable[[Iterator, int], Iterator],
    ) -> None:
        """Computes what is wanted, and sets table and reason of each.

        Args:
            wanted: What is wanted, the most important first.
            start: Features to begin with; None for the examples.
            show: Shows progress over an iterator of so many steps.

        Raises:
            OverflowError: Features do not fit float16.
            Unrepeatable: Features are no constants.
        """
        end = _union([each.cut for each in wanted])
        batches = self._examples() if start is None else _alone(start)
        features = self._forward.over(
            batches, self._split.batch_size, start and start.cut, end
        )
        outputs = show(features, self.steps)
        writers = {}
        try:
            self._fill(writers, wanted, end, outputs)
            self._finish(writers)
        except BaseException:
            for writer, _ in writers.values():
                self._room.give_back(writer)
                writer.discard()
            raise

    def source(self, wanted: Wanted) -> FeatureSource:
        """Returns the part, read from a table of features."""
        inputs = self._graph.inputs
        return FeatureSource(
            self._split,
            wanted.cut,
            wanted.table,
            self._preprocess,
            tuple(sorted(inputs)) if isinstance(inputs, dict) else None,
            0 if self._views is None else self._views.count,
        )

    def _fill(self, writers, wanted, end, outputs) -> None:
        """Appends batch by batch; the second tells how long a pass takes."""
        early = [next(outputs)]
        started = time.perf_counter()
        early += [batch for batch in [next(outputs, None)] if batch]
        seconds = (time.perf_counter() - started) * self.steps
        for each in wanted:
            places = self._places(end, each.cut)
            columns = [
                Column.of(early[0][i], self._dtype_of(i, end)) for i in places
            ]
            writer = self._room.allot(each, columns, self.rows, seconds)
            if writer is not None:
                writers[id(each)] = writer, (each, places, columns)
        for batch in early:
            self._append(writers, batch)
        early.clear()
        while writers and (batch := next(outputs, None)):
            self._append(writers, batch)
        outputs.close()

    def _dtype_of(self, place: int, end: Cut) -> str:
        """Targets are stored as they are; they are few."""
        return self._dtype if place < len(end.tensors) else "float32"

    def _places(self, end, cut) -> list[int]:
        """Where in a batch the columns of a cut are; targets come last."""
        places = [end.tensors.index(address) for address in cut.made]
        return places if self._views is None else [*places, len(end.tensors)]

    def _append(self, writers, batch) -> None:
        for key, (writer, (each, places, columns)) in list(writers.items()):
            rows = [
                column.to_array(batch[i])
                for i, column in zip(places, columns, strict=True)
            ]
            try:
                writer.append(rows)
            except OSError as error:
                _give_up(writers, key, writer, each, error)

    def _finish(self, writers) -> None:
        for key, (writer, (each, _, _)) in list(writers.items()):
            try:
                each.table = writer.finish()
            except OSError as error:
                _give_up(writers, key, writer, each, error)

    def _examples(self) -> tf.data.Dataset:
        """Pairs of inputs and what is stored beside their features."""
        batches = self._split.read(None, self._preprocess)
        if self._views is None:
            batches = batches.map(passes.as_is(lambda inputs, _: (inputs, ())))
            return batches.prefetch(passes.AHEAD)
        views, steps = self._views, self._split.steps

        def view(number):
            return batches.enumerate(number * steps).map(
                lambda step, batch: self._augmented(step, *batch)
            )

        every = tf.data.Dataset.range(views.count).flat_map(passes.as_is(view))
        return every.prefetch(passes.AHEAD)

    def _augmented(self, step, inputs, labels):
        targets = self._split.labels.encode(labels)
        inputs, targets = self._views.augment(
            inputs, targets, self._views.seed, step
        )
        return inputs, (targets,)


def _union(cuts: Sequence[Cut]) -> Cut:
    made = dict.fromkeys(address for cut in cuts for address in cut.made)
    return Cut(tuple(made))


def _alone(source: FeatureSource) -> tf.data.Dataset:
    return source.inputs().map(passes.as_is(lambda inputs: (inputs, ())))


def _give_up(writers, key, writer, wanted, error) -> None:
    """A full disk costs the cache, nothing else."""
    del writers[key]
    writer.discard()
    wanted.reason = f"writing the features failed: {error}"
    logging.warning("Features are not kept: %s.", error)
