"""Makes the weights of the demo backbone that ship inside the package.

python -m tltf.scripts.pretrain_demo --output_dir=tltf/backbones/weights
python -m tltf.scripts.pretrain_demo --output_dir=tltf/backbones/weights \
        --shuffled_labels
"""

import pathlib

from absl import app, flags, logging

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "Folder for the weight file.")
flags.DEFINE_bool(
    "shuffled_labels",
    False,
    "Pretrain on labels dealt out anew among the handwritten digits: the "
    "control that has seen the pictures but not what they are.",
)
flags.DEFINE_integer("epochs", 100, "Passes over the handwritten digits.")
flags.DEFINE_integer("seed", 0, "Seed of weights, pictures and their order.")

_BATCH_SIZE = 32
_LEARNING_RATE = 2e-3


def main(_):
    """Writes one weight file, and logs how well its task was learned."""
    suffix = "_shuffled" if FLAGS.shuffled_labels else ""
    path = pathlib.Path(FLAGS.output_dir, f"demo_digits_0_4{suffix}.weights.h5")
    backbone, accuracy = pretrain(
        FLAGS.epochs, FLAGS.seed, FLAGS.shuffled_labels
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    backbone.save_weights(path)
    logging.info("Accuracy on fresh source pictures: %.3f", accuracy)
    logging.info("Weights: %s", path)


def pretrain(epochs: int, seed: int = 0, shuffled_labels: bool = False):
    """Trains the demo network on the digits 0-4, drawn anew each epoch.

    Args:
        epochs: passes over the handwritten digits; the rate falls to zero
            over them, along a cosine.
        seed: seed of weights, pictures and their order.
        shuffled_labels: whether to train on labels that say nothing.

    Returns:
        The backbone without its head, and the accuracy on the same
        handwritten digits in pictures that were not trained on.
    """
    import keras

    from tltf.backbones import demo_network
    from tltf.datasets import cluttered_digits

    def draw(index):
        return cluttered_digits.source(
            seed=(seed, index), shuffled_labels=shuffled_labels
        )

    keras.utils.set_random_seed(seed)
    backbone = demo_network.build(cluttered_digits.IMAGE_SIZE, seed)
    head = [
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(
            len(cluttered_digits.SOURCE_CLASSES), activation="softmax"
        ),
    ]
    model = keras.Sequential([backbone, *head])
    steps = -(-len(draw(0)[0]) // _BATCH_SIZE)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                _LEARNING_RATE, decay_steps=epochs * steps
            )
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    for epoch in range(epochs):
        history = model.fit(*draw(epoch), batch_size=_BATCH_SIZE, verbose=0)
        logging.info("Epoch %d: %s", epoch + 1, history.history)
    return backbone, model.evaluate(*draw(epochs), verbose=0)[1]


if __name__ == "__main__":
    flags.mark_flag_as_required("output_dir")
    app.run(main)
