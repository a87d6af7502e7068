"""How do I transfer ResNet50 to a dataset of TensorFlow Datasets?

python examples/resnet50_tfds.py tf_flowers runs/tf_flowers
"""

import sys

import tltf


def main(
    name, model_dir, weights="imagenet", image_size=224, recipe=None, **data
):
    splits = tltf.datasets.load(
        f"tfds:{name}", image_size=image_size, batch_size=32, **data
    )
    backbone = tltf.backbones.load(
        "applications:ResNet50", weights=weights, image_size=image_size
    )
    model = tltf.TransferModel(backbone, splits.labels)
    recipe = recipe or tltf.recipes.lp_ft(
        head_epochs=5, epochs=5, unfreeze="conv5", schedule="cosine"
    )
    run = tltf.fit(
        model, splits, recipe=recipe, model_dir=model_dir, verbose=True
    )
    report = tltf.evaluate(model, splits.test or splits.validation)
    print(report.summary())
    tltf.export(model, f"{model_dir}/export/1")
    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
