"""How do I write a training script of my own with absl flags?

python examples/train_script.py --data=folder:flowers/ --model_dir=runs/a
"""

from absl import app, flags

import tltf

FLAGS = flags.FLAGS
flags.DEFINE_string("data", None, "Such as folder:flowers/.", required=True)
flags.DEFINE_string("model_dir", None, "Run folder.", required=True)
flags.DEFINE_string("backbone", "applications:MobileNetV2", "The backbone.")
flags.DEFINE_enum("weights", "imagenet", ["imagenet", "none"], "Its weights.")
flags.DEFINE_integer("image_size", 160, "Pixels a side.")
flags.DEFINE_integer("epochs", 5, "Epochs of each of the two stages.")
flags.DEFINE_float("learning_rate", 1e-5, "Of the second stage.")


def main(_):
    outcome = tltf.transfer(
        FLAGS.data,
        FLAGS.backbone,
        model_dir=FLAGS.model_dir,
        recipe=tltf.recipes.lp_ft(
            head_epochs=FLAGS.epochs,
            epochs=FLAGS.epochs,
            unfreeze=4,
            learning_rate=FLAGS.learning_rate,
        ),
        backbone_options={
            "weights": None if FLAGS.weights == "none" else FLAGS.weights,
            "image_size": FLAGS.image_size,
        },
        verbose=True,
    )
    print(outcome.report.summary())
    print(f"Everything is in {outcome.model_dir}")


if __name__ == "__main__":
    app.run(main)
