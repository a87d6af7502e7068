"""The small convolutional network that `tltf demo` transfers.

It has no normalization on purpose: batch statistics that stay frozen would be
right for an arm that starts from pretrained weights and wrong for one that
starts from scratch, and the two are to be compared.
"""

import keras
import numpy as np

_FILTERS = {"stem": 16, "block1": 32, "block2": 64, "block3": 96}


def build(image_size: int = 40, seed: int | None = None) -> keras.Model:
    """Builds the network without a head: pixels in, a feature map out.

    Each layer carries its block's name in front: `stem`, `block1`, `block2` or
    `block3`, from input to output. The last map is an eighth of the picture
    wide, and each of its places sees 37 x 37 pixels, more than a whole digit.

    Args:
        image_size: height and width of the pictures, in pixels.
        seed: seed of the initial weights; by default they differ each time.

    Returns:
        A functional `keras.Model` from "image", raw pixels 0..255
        `[batch, image_size, image_size, 3]`, to a feature map
        `[batch, image_size / 8, image_size / 8, 96]`, of 78,976 parameters.
    """
    seeds = [None] * len(_FILTERS)
    if seed is not None:
        states = np.random.SeedSequence(seed).generate_state(len(_FILTERS))
        seeds = [int(state) for state in states]
    image = keras.Input((image_size, image_size, 3), name="image")
    x = keras.layers.Rescaling(
        1 / 127.5, offset=-1, dtype="float32", name="stem_rescaling"
    )(image)
    for block, block_seed in zip(_FILTERS, seeds, strict=True):
        x = _block(x, block, block_seed)
    return keras.Model(image, x, name="demo_network")


def _block(x, block, seed):
    """Convolves and rectifies; every block but the last halves the map."""
    x = keras.layers.Conv2D(
        _FILTERS[block],
        kernel_size=3,
        strides=2 if block == "stem" else 1,
        padding="same",
        kernel_initializer=keras.initializers.HeNormal(seed=seed),
        name=f"{block}_conv",
    )(x)
    x = keras.layers.ReLU(name=f"{block}_relu")(x)
    if block in ("block1", "block2"):
        x = keras.layers.MaxPooling2D(name=f"{block}_pool")(x)
    return x
