"""How do I tell good reviews from bad ones with BERT, from a CSV file?

The file has a column of texts and one of labels; what comes out answers raw
strings in TensorFlow Serving.

python examples/bert_sentiment.py reviews.csv runs/reviews
"""

import sys

import tltf


def main(
    table,
    model_dir,
    backbone="hub:bert_base_en_uncased",
    sequence_length=128,
    recipe=None,
):
    splits = tltf.datasets.load(f"csv:{table}", batch_size=32)
    model = tltf.text_classifier(
        backbone, splits.labels, sequence_length=sequence_length
    )
    recipe = recipe or tltf.recipes.fine_tune(
        epochs=3, learning_rate=3e-5, schedule="cosine", warmup=0.1
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
