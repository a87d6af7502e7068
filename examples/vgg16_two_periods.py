"""How do I fine-tune VGG16 in two periods on a folder of pictures?

The classic: train new Dense layers on the frozen base, then unfreeze the last
convolutional block and go on at a small rate.

python examples/vgg16_two_periods.py flowers/ runs/flowers
"""

import sys

import tltf


def main(
    folder, model_dir, weights="imagenet", image_size=224, epochs=(10, 10)
):
    splits = tltf.datasets.load(
        f"folder:{folder}", image_size=image_size, batch_size=32
    )
    backbone = tltf.backbones.load(
        "applications:VGG16", weights=weights, image_size=image_size
    )
    model = tltf.TransferModel(
        backbone, splits.classes, head="mlp", hidden_units=[256], dropout=0.5
    )
    first, second = epochs
    recipe = (
        tltf.Stage(name="head", epochs=first, learning_rate=1e-3),
        tltf.Stage(
            unfreeze="block5",
            epochs=second,
            learning_rate=1e-4,
            optimizer="sgd",
            augment="light",
        ),
    )
    run = tltf.fit(
        model, splits, recipe=recipe, model_dir=model_dir, verbose=True
    )
    report = tltf.evaluate(model, splits.test or splits.validation)
    print(report.summary())
    print(f"Report: {report.save(model_dir)}")
    tltf.export(model, f"{model_dir}/export/1")
    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
