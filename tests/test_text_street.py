"""Texts walk the same street as pictures: BERT, from strings to strings."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import tltf

keras_hub = pytest.importorskip("keras_hub")

GOOD = ("good", "great", "fine", "lovely")
BAD = ("bad", "poor", "awful", "boring")
OTHERS = ("the", "film", "was", "a", "plot", "and", "play", "##ed", "##s")
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY += [*GOOD, *BAD, *OTHERS]


def reviews(count=40, seed=0):
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for i in range(count):
        words = random.choice(GOOD if i % 2 else BAD, 2)
        texts.append(f"The film was {words[0]}, and the plays {words[1]}!")
        labels.append("good" if i % 2 else "bad")
    return texts, labels


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """A folder with a BERT of random weights, as KerasHub writes it."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("preset") / "tiny_bert"
    tokenizer = keras_hub.models.BertTokenizer(VOCABULARY, lowercase=True)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(VOCABULARY),
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=24,
    )
    tokenizer.save_to_preset(str(folder))
    backbone.save_to_preset(str(folder))
    return folder


@pytest.fixture
def table(tmp_path):
    texts, labels = reviews()
    rows = [f'"{t}",{label}' for t, label in zip(texts, labels, strict=True)]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


CLIENT = """
import json
import sys

for missing in ("keras", "tltf", "keras_hub", "tensorflow_text"):
    sys.modules[missing] = None
import tensorflow as tf

folder, texts = sys.argv[1:]
serve = tf.saved_model.load(folder).signatures["serving_default"]
found = serve(texts=tf.constant(json.loads(texts)))
print(json.dumps({
    "label": [w.decode() for w in found["label"].numpy()],
    "probabilities": found["probabilities"].numpy().tolist(),
}))
"""


def test_from_a_table_of_texts_to_served_strings(preset, table, tmp_path):
    splits = tltf.datasets.load(f"csv:{table}", batch_size=8)
    assert splits.classes == ("bad", "good")
    model = tltf.text_classifier(
        f"hub:{preset}", splits.labels, sequence_length=16
    )
    assert [b.name for b in model.blocks][:3] == [
        "embeddings",
        "layer_0",
        "layer_1",
    ]
    recipe = tltf.recipes.gradual_unfreezing(
        blocks=2, epochs=3, learning_rate=1e-2
    ) + tltf.recipes.fine_tune(6, 1e-2)
    run = tltf.fit(model, splits, recipe=recipe)
    report = tltf.evaluate(model, splits.validation)
    assert run.history["val_accuracy"][-1] == 1.0
    assert report.metrics["accuracy"]["value"] == 1.0
    texts = [*reviews(6, seed=9)[0], "", "Ünknown wörds ☃ played"]
    tltf.export(model, tmp_path / "export" / "1")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            CLIENT,
            str(tmp_path / "export" / "1"),
            json.dumps(texts),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    outputs = model.predict(model.preprocess(np.array(texts)), verbose=0)
    expected = model.labels.probabilities(outputs)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    assert found["label"][:6] == ["bad", "good"] * 3


def test_saved_text_model_answers_alike(preset, tmp_path):
    model = tltf.text_classifier(f"hub:{preset}", 3, sequence_length=16)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    texts = np.array(reviews(5)[0])
    np.testing.assert_array_equal(
        model.predict(model.preprocess(texts), verbose=0),
        loaded.predict(loaded.preprocess(texts), verbose=0),
    )


def test_it_loads_where_only_tltf_was_imported(preset, tmp_path):
    model = tltf.text_classifier(f"hub:{preset}", 3, sequence_length=16)
    model.save(tmp_path / "model.keras")
    code = f"""
import tltf, keras
print(keras.models.load_model({str(tmp_path / "model.keras")!r}).classes)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "('0', '1', '2')"
