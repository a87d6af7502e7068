"""How do I try several heads at the price of one pass over my pictures?

python examples/several_heads.py flowers/ runs/features
"""

import sys

import tltf

TRIALS = {
    "linear, solved": ("linear", tltf.recipes.linear_probe()),
    "linear, 20 epochs": (
        "linear",
        tltf.recipes.linear_probe(20, solver="steps"),
    ),
    "hidden layer": ("mlp", tltf.recipes.linear_probe(20, 3e-4)),
    "last block too": ("linear", tltf.recipes.lp_ft(10, 5, unfreeze=1)),
}


def main(folder, cache_dir, backbone="applications:ResNet50", **options):
    results = {}
    for name, (head, recipe) in TRIALS.items():
        base = tltf.backbones.load(backbone, **options)
        splits = tltf.datasets.load(
            f"folder:{folder}", image_size=base.image_size
        )
        model = tltf.TransferModel(base, splits.labels, head=head)
        # The first run computes features, the others find them.
        run = tltf.fit(model, splits, recipe=recipe, cache_dir=cache_dir)
        results[name] = run.history["val_loss"][-1]
        print(f"{name:<18} validation loss {results[name]:.4f}")
        print("  ", run.stages[-1].notes[0])
    return results


if __name__ == "__main__":
    main(*sys.argv[1:])
