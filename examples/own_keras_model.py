"""How do I use tltf's stages with a Keras model and arrays of my own?

python examples/own_keras_model.py
"""

import keras
import numpy as np

import tltf


def my_pretrained_network():
    """Stands for any functional model that you have, without its top."""
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1, name="stem_scale")(image)
    for name, filters in [("low", 16), ("high", 32)]:
        x = keras.layers.Conv2D(
            filters, 3, 2, activation="relu", name=f"{name}_conv"
        )(x)
    return keras.Model(image, x)


def main(epochs=5):
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    images = random.integers(0, 200, (300, 32, 32, 3))
    images[np.arange(300), :, :, labels] += 55  # the colour tells the class
    splits = tltf.Splits.from_arrays(
        (images.astype("uint8"), labels), classes=["red", "green", "blue"]
    )
    backbone = tltf.backbones.load(
        my_pretrained_network(), blocks={"low": "low_", "high": "high_"}
    )
    model = tltf.TransferModel(backbone, splits.classes)
    run = tltf.fit(
        model,
        splits,
        recipe=tltf.recipes.gradual_unfreezing(
            blocks=2, epochs=epochs, learning_rate=1e-2
        ),
        callbacks=[keras.callbacks.TerminateOnNaN()],
    )
    for result in run.stages:
        print(f"{result.stage.name}: {', '.join(result.blocks)} trained")
    print(tltf.evaluate(model, splits.validation).summary())
    return run


if __name__ == "__main__":
    main()
