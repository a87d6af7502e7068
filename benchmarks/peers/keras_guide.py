"""The script of Keras' guide "Transfer learning & fine-tuning"."""

from benchmarks.peers import keras_networks, keras_stages
from benchmarks.peers.cases import CASES

prepare = keras_networks.write_start


def run(task, folder, data, clock):
    """Builds the guide's network and trains it in two stages."""
    keras_networks.set_up(task)
    clock.begin("build")
    base, model = keras_networks.guide_network(task, folder)
    prefixes = CASES[task.backbone].prefixes
    return keras_stages.train(model, base, prefixes, task, data, clock)
