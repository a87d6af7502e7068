"""Freeze, compile, fit; unfreeze, compile, fit: the two stages in Keras."""

import keras
import tensorflow as tf

from benchmarks.peers.clock import Clock
from benchmarks.peers.keras_networks import norms
from benchmarks.peers.task import HEAD_RATE, SEED, TAIL_RATE, Task


def train(
    model: keras.Model,
    base: keras.Model,
    prefixes: tuple[str, ...],
    task: Task,
    data: tuple[tuple, tuple],
    clock: Clock,
    *,
    is_softmax: bool = True,
) -> dict[str, float]:
    """Trains the head, then the layers whose names begin so along with it.

    Returns:
        The last epoch's losses.
    """
    clock.begin("head")
    examples, held = data
    validation = tf.data.Dataset.from_tensor_slices(held)
    validation = validation.batch(task.batch_size).prefetch(tf.data.AUTOTUNE)

    def fit(rate, first_epoch, epochs):
        model.compile(
            keras.optimizers.SGD(rate),
            keras.losses.SparseCategoricalCrossentropy(not is_softmax),
            metrics=["accuracy"],
        )
        return model.fit(
            passes(examples, task, first_epoch, epochs),
            steps_per_epoch=task.steps,
            epochs=epochs,
            validation_data=validation,
            shuffle=False,
            verbose=0,
        )

    base.trainable = False
    fitted = fit(HEAD_RATE, 0, task.head_epochs)
    if task.tail_epochs:
        clock.begin("tail")
        unfreeze(base, prefixes)
        fitted = fit(TAIL_RATE, task.head_epochs, task.tail_epochs)
    clock.end()
    return {
        "final_loss": fitted.history["loss"][-1],
        "validation_loss": fitted.history["val_loss"][-1],
    }


def unfreeze(base: keras.Model, prefixes: tuple[str, ...]) -> None:
    """Opens those layers, all but their batch normalisation."""
    base.trainable = True
    for layer in base.layers:
        layer.trainable = layer.name.startswith(prefixes)
        for norm in norms(layer):
            norm.trainable = False


def passes(
    examples: tuple, task: Task, first_epoch: int, epochs: int
) -> tf.data.Dataset:
    """Returns shuffled batches, in the order in which tltf takes them.

    That order is drawn from the seed and the epoch's number. Rows are
    gathered a batch at a time, which costs less than `Dataset.shuffle`.
    """
    tensors = tf.nest.map_structure(tf.convert_to_tensor, examples)

    def one_pass(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(task.images),
            seed=tf.stack([tf.constant(SEED, tf.int64), epoch]),
        )
        rows = tf.data.Dataset.from_tensor_slices(order)
        return rows.batch(task.batch_size).map(
            lambda row: tf.nest.map_structure(
                lambda tensor: tf.gather(tensor, row), tensors
            )
        )

    numbers = tf.data.Dataset.range(first_epoch, first_epoch + epochs)
    return numbers.flat_map(one_pass).prefetch(tf.data.AUTOTUNE)
