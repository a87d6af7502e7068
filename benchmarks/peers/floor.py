"""The floor: what looking at every example once costs.

`Model.predict` of the guide's network goes over the training and validation
data in batches of the same size, twice: the first time it also traces.
"""

import tensorflow as tf

from benchmarks.peers import keras_networks

prepare = keras_networks.write_start


def run(task, folder, data, clock):
    """Predicts twice."""
    keras_networks.set_up(task)
    clock.begin("build")
    _, model = keras_networks.guide_network(task, folder)
    clock.begin("tracing pass")
    batches = [
        tf.data.Dataset.from_tensor_slices(inputs).batch(task.batch_size)
        for inputs, _ in data
    ]
    both = batches[0].concatenate(batches[1]).prefetch(tf.data.AUTOTUNE)
    model.predict(both, verbose=0)
    clock.begin("pass")
    model.predict(both, verbose=0)
    clock.end()
    return {"final_loss": None, "validation_loss": None}
