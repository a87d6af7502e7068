"""What do tltf's stages cost beside the same two stages in plain Keras?

Both train the same network on the same pictures with the same steps: a head on
the frozen base, then everything at a small rate. Each run is a process of its
own, in alternating order; the figures are CPU seconds from the first call on,
without imports.

python -m benchmarks.stages --backbone=MobileNetV2 --runs=3
"""

import json
import statistics
import subprocess
import sys

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("backbone", "MobileNetV2", "Of Keras Applications.")
flags.DEFINE_integer("images", 128, "How many pictures.")
flags.DEFINE_integer("image_size", 96, "Pixels a side.")
flags.DEFINE_integer("head_epochs", 5, "Epochs of the first stage.")
flags.DEFINE_integer("epochs", 2, "Epochs of the second stage.")
flags.DEFINE_integer("runs", 3, "Runs of each, in turn.")
flags.DEFINE_enum("only", None, ["keras", "tltf"], "Runs one, in this process.")


def pictures():
    import numpy as np

    random = np.random.default_rng(0)
    size = FLAGS.image_size
    labels = np.arange(FLAGS.images) % 3
    images = random.integers(0, 200, (FLAGS.images, size, size, 3), "uint8")
    images[np.arange(FLAGS.images), :, :, labels] += 55
    return images, labels


def run_tltf(images, labels):
    import tltf

    splits = tltf.Splits.from_arrays((images, labels), (images, labels))
    backbone = tltf.backbones.load(
        f"applications:{FLAGS.backbone}",
        weights=None,
        image_size=FLAGS.image_size,
    )
    model = tltf.TransferModel(backbone, splits.classes)
    # Rates that are too small to matter, and batch norm as Keras has it:
    # what is measured is time, on a network without pretrained weights.
    recipe = tltf.recipes.lp_ft(
        FLAGS.head_epochs, FLAGS.epochs, batch_norm="train"
    )
    return tltf.fit(model, splits, recipe=recipe).history["loss"][-1]


def run_keras(images, labels):
    import keras
    import tensorflow as tf

    module = getattr(keras.applications, FLAGS.backbone)
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    base = module(include_top=False, weights=None, input_shape=shape)
    image = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.GlobalAveragePooling2D()(base(x))
    model = keras.Model(image, keras.layers.Dense(3, "softmax")(x))
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    train = data.shuffle(len(labels)).batch(32).prefetch(2)
    for is_open, epochs, rate in (
        (False, FLAGS.head_epochs, 1e-3),
        (True, FLAGS.epochs, 1e-5),
    ):
        base.trainable = is_open
        model.compile(
            keras.optimizers.Adam(rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        history = model.fit(
            train, validation_data=data.batch(32), epochs=epochs, verbose=0
        )
    return history.history["loss"][-1]


def run_once(name):
    """Trains in this process and prints one line of JSON."""
    import resource
    import time

    import keras

    keras.utils.set_random_seed(0)
    images, labels = pictures()
    cpu, wall = time.process_time(), time.perf_counter()
    loss = {"keras": run_keras, "tltf": run_tltf}[name](images, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "peak_mb": peak,
        "loss": loss,
    }
    print(json.dumps(figures))


def main(_):
    if FLAGS.only:
        run_once(FLAGS.only)
        return
    found = {"keras": [], "tltf": []}
    for _ in range(FLAGS.runs):
        for name, figures in found.items():
            command = [sys.executable, "-m", "benchmarks.stages"]
            command += [*sys.argv[1:], f"--only={name}"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            figures.append(json.loads(done.stdout.splitlines()[-1]))
    print(f"{'':6}{'CPU s':>24}{'wall s':>24}{'peak MB':>12}")
    for name, figures in found.items():
        cells = [
            _spread([row[key] for row in figures]) for key in ("cpu", "wall")
        ]
        peak = statistics.median(row["peak_mb"] for row in figures)
        print(f"{name:6}{cells[0]:>24}{cells[1]:>24}{peak:>12.0f}")


def _spread(values):
    low, high = min(values), max(values)
    return f"{statistics.median(values):.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    app.run(main)
