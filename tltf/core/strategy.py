"""Strategies of `tf.distribute` by name."""

import functools

import keras
import tensorflow as tf

from tltf.core.graph import batch_norms
from tltf.errors import nearest

_NAMES = ("auto", "mirrored", "one_device:GPU:0")


def resolve(
    strategy: "str | tf.distribute.Strategy | None",
) -> tf.distribute.Strategy:
    """Returns the strategy of a name.

    Args:
        strategy: `"auto"` (mirrored where several GPUs are visible, else the
            strategy in whose scope we are), `"mirrored"` (all GPUs, or else
            all logical CPUs), `"one_device:GPU:0"`, or a strategy.

    Raises:
        ValueError: There is no such strategy or device.
    """
    if isinstance(strategy, tf.distribute.Strategy):
        return strategy
    gpus = tf.config.list_logical_devices("GPU")
    if strategy is None or strategy == "auto":
        if len(gpus) > 1:
            return _mirrored(tuple(device.name for device in gpus))
        return tf.distribute.get_strategy()
    if strategy == "mirrored":
        devices = gpus or tf.config.list_logical_devices("CPU")
        return _mirrored(tuple(device.name for device in devices))
    if isinstance(strategy, str) and strategy.startswith("one_device:"):
        return tf.distribute.OneDeviceStrategy(_device(strategy))
    guess = nearest(strategy, _NAMES) if isinstance(strategy, str) else ""
    raise ValueError(
        f"`strategy` must be one of {_NAMES} or a tf.distribute.Strategy."
        f" Received: {strategy!r}.{guess}"
    )


def synchronize_norms(model: keras.Model) -> None:
    """Makes the statistics of batch normalisation one over all replicas."""
    for layer in model.layers:
        for norm in batch_norms(layer):
            norm.synchronized = True


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """One strategy a process for the same devices.

    The collective operations of several disturb each other (TensorFlow 2.21:
    "Shape mismatch in the collective instance").
    """
    return tf.distribute.MirroredStrategy(list(devices))


def _device(strategy: str) -> str:
    wanted = strategy.removeprefix("one_device:").strip("/").upper()
    names = [d.name for d in tf.config.list_logical_devices()]
    for name in names:
        if name.upper().removeprefix("/DEVICE:") == wanted:
            return name
    known = [name.removeprefix("/device:") for name in names]
    raise ValueError(
        f"`strategy` names a device that is not here: {strategy!r}. Here are"
        f" {known}."
    )
