"""Random changes to training batches, the same again for the same seed."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tltf.core.graph import sublayers
from tltf.errors import nearest

_NAMED = {
    "none": lambda: [],
    "light": lambda: [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(0.05),
        keras.layers.RandomTranslation(0.1, 0.1),
    ],
    "strong": lambda: [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomZoom((-0.3, 0.1)),
        keras.layers.RandAugment(value_range=(0, 255)),
        keras.layers.MixUp(alpha=0.2),
    ],
}

# These need the targets beside the pictures, and change both.
_MIXING = (keras.layers.MixUp, keras.layers.CutMix)


class Augment:
    """A list of Keras layers applied to training batches only.

    Every random draw is seeded by the run's seed and the number of the batch,
    so that the same run gives the same pictures, also when it is resumed.

    Args:
        layers: Layers of pixels 0..255, of `keras.layers` or your own.
            `MixUp` and `CutMix` mix the targets too.
    """

    def __init__(self, layers: Sequence[keras.layers.Layer]):
        self.layers = tuple(layers)
        self._generators = [
            generator for layer in self.layers for generator in _seeds(layer)
        ]

    @classmethod
    def of(
        cls, augment: "str | keras.layers.Layer | Sequence[keras.layers.Layer]"
    ) -> "Augment | None":
        """Makes it from `"none"`, `"light"`, `"strong"` or Keras layers."""
        if isinstance(augment, str):
            if augment not in _NAMED:
                raise ValueError(
                    f"`augment` must be one of {list(_NAMED)} or Keras layers."
                    f" Received: {augment!r}.{nearest(augment, _NAMED)}"
                )
            augment = _NAMED[augment]()
        elif isinstance(augment, keras.layers.Layer):
            augment = [augment]
        layers = augment if isinstance(augment, Sequence) else [augment]
        strangers = [x for x in layers if not isinstance(x, keras.layers.Layer)]
        if strangers:
            raise TypeError(
                f"`augment` must be one of {list(_NAMED)} or Keras layers."
                f" Received: {strangers[0]!r}"
            )
        return cls(layers) if layers else None

    def __call__(self, images, targets, seed: int, step: tf.Tensor):
        """Changes one batch.

        Args:
            images: `[batch, height, width, channels]`, 0..255.
            targets: `[batch, units]`, encoded for the loss.
            seed: The run's seed.
            step: The number of the batch, counted over all epochs.

        Returns:
            The images and targets, changed.
        """
        assigned = [
            generator.state.assign(
                tf.cast([seed + 7919 * i, step], generator.state.dtype)
            )
            for i, generator in enumerate(self._generators)
        ]
        with tf.control_dependencies([a for a in assigned if a is not None]):
            images = tf.identity(images)
        shape = images.shape
        for layer in self.layers:
            if isinstance(layer, _MIXING):
                mixed = layer(
                    {"images": images, "labels": targets}, training=True
                )
                images, targets = mixed["images"], mixed["labels"]
            else:
                images = layer(images, training=True)
        return tf.ensure_shape(images, shape), targets


def _seeds(layer: keras.layers.Layer) -> list[keras.random.SeedGenerator]:
    """Finds the random generators of a layer and the layers inside it."""
    found = {}
    for inner in sublayers(layer):
        for value in vars(inner).values():
            values = value if isinstance(value, (list, tuple)) else [value]
            for item in values:
                if isinstance(item, keras.random.SeedGenerator):
                    found[id(item)] = item
    return list(found.values())
