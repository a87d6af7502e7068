"""One pass of frozen layers over data."""

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tltf.core import passes
from tltf.core.graph import Cut, Features, Graph
from tltf.errors import DataError

# How far the features of an example may be from those that it has alone:
# convolutions sum in another order in batches of another size.
_TOLERANCE = {"float32": 1e-3, "float16": 5e-2, "bfloat16": 2e-1}
_ALONE = 2
# Rows at a time on a CPU: for ResNet50 at 224 pixels as fast as 32 at a time,
# where 8 take 5 % longer, and the activations take 200 MB less.
_CPU_ROWS = 16


class Unrepeatable(DataError):
    """The same example gives other features another time."""


class Forward:
    """Runs parts of a model for inference, under any strategy.

    A part is traced once, whatever it is run over.

    Args:
        graph: Of the model.
        strategy: In whose scope the model was made.
    """

    def __init__(self, graph: Graph, strategy: tf.distribute.Strategy):
        self._graph, self._strategy = graph, strategy
        self._runners = {}
        self._tested = set()

    def rows(self, batch_size: int) -> int:
        """How many examples are run at a time.

        Args:
            batch_size: Of the data.
        """
        devices = tf.config.list_logical_devices()
        has_others = any(device.device_type != "CPU" for device in devices)
        if has_others or self._strategy.num_replicas_in_sync > 1:
            return batch_size
        return min(batch_size, _CPU_ROWS)

    def over(
        self,
        batches: tf.data.Dataset,
        batch_size: int,
        start: Cut | None,
        end: Cut,
    ) -> Iterator[list[tf.Tensor]]:
        """Goes from one cut to another for all batches.

        The first batch of all is a test: its examples must have the same
        features alone as among others, or else they are no constants and
        cannot be kept.

        Args:
            batches: Pairs of inputs, `batch_size` at a time but the last, and
                a tuple of what is passed on.
            batch_size: A multiple of the number of replicas.
            start: What the inputs are; None for the model's inputs.
            end: What is computed.

        Yields:
            For `rows` examples at a time what crosses the end, and what is
            passed on.

        Raises:
            Unrepeatable: The first batch did not pass its test.
        """
        rows = self.rows(batch_size)
        if rows < batch_size:
            batches = batches.rebatch(rows)
        spec = batches.element_spec[0]
        leaves = tuple(map(str, tf.nest.flatten(spec)))
        key = (start, end, leaves, batch_size)
        if key not in self._runners:
            model = self._graph.model(start, end)
            self._runners[key] = _runner(
                model, spec, batch_size, self._strategy
            )
        run = self._runners[key]
        for inputs, passed_on in batches:
            outputs = run(inputs)
            if key not in self._tested:
                _check_repeatable(run, inputs, outputs)
                self._tested.add(key)
            yield [*outputs, *passed_on]

    def forget(self) -> None:
        """Gives back what was traced."""
        self._runners.clear()
        self._tested.clear()


def _runner(model, spec, batch_size, strategy):
    def forward(inputs):
        if isinstance(inputs, Features):
            inputs = inputs.as_inputs()
        return keras.tree.flatten(model(inputs, training=False))

    if strategy.num_replicas_in_sync == 1:
        return tf.function(forward, input_signature=[spec], autograph=False)
    each = tf.function(
        lambda inputs: strategy.run(forward, args=(inputs,)), autograph=False
    )

    def run(inputs):
        """Gives every replica as many examples, and joins what they give."""
        real = len(keras.tree.flatten(inputs)[0])
        inputs, _, _ = passes.fill_up(batch_size, inputs, tf.range(real))
        share = batch_size // strategy.num_replicas_in_sync
        parts = strategy.experimental_distribute_values_from_function(
            lambda context: keras.tree.map_structure(
                lambda t: _share(t, context.replica_id_in_sync_group, share),
                inputs,
            )
        )
        joined = [
            tf.concat(strategy.experimental_local_results(output), axis=0)
            for output in each(parts)
        ]
        return [output[:real] for output in joined]

    return run


def _share(tensor, replica, size):
    return tensor[replica * size : (replica + 1) * size]


def _check_repeatable(run, batch, outputs) -> None:
    # The last ones, fewer than there are: neither the place in a batch nor
    # the company may matter.
    few = max(min(_ALONE, len(outputs[0]) - 1), 1)
    alone = run(keras.tree.map_structure(lambda t: t[-few:], batch))
    for among, single in zip(outputs, alone, strict=True):
        tolerance = _TOLERANCE.get(among.dtype.name, 0.0)
        among = tf.cast(among[-few:], tf.float64).numpy()
        single = tf.cast(single, tf.float64).numpy()
        if not np.isfinite(single).all():
            raise Unrepeatable(
                "the frozen layers give values that are not finite"
            )
        scale = np.abs(single).max(initial=0.0)
        if not np.abs(among - single).max(initial=0.0) <= tolerance * scale:
            raise Unrepeatable(
                "the frozen layers give an example other features another"
                " time: they are random, or look at the whole batch"
            )
