"""An export answers raw bytes as the trained model does, without Keras."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_pictures
from tltf.core.labels import Labels
from tltf.core.precision import policy
from tltf.exporters import export

# A process that can import neither: it has TensorFlow alone.
CLIENT = """
import json
import pathlib
import sys

for missing in ("keras", "tltf", "keras_hub", "tensorflow_text"):
    sys.modules[missing] = None
import tensorflow as tf

folder, raw, answer = sys.argv[1:]
model = tf.saved_model.load(folder)
raw = [bytes.fromhex(line) for line in pathlib.Path(raw).read_text().split()]
found = model.signatures["serving_default"](tf.constant(raw))
text = {name: value.numpy().tolist() if value.dtype != tf.string
        else [[w.decode() for w in row] if isinstance(row, list)
              else row.decode() for row in value.numpy().tolist()]
        for name, value in found.items()}
pathlib.Path(answer).write_text(json.dumps(text))
"""


def ask(folder: pathlib.Path, raw: list[bytes], tmp_path) -> dict:
    (tmp_path / "raw").write_text("\n".join(item.hex() for item in raw))
    arguments = [str(folder), str(tmp_path / "raw"), str(tmp_path / "answer")]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((tmp_path / "answer").read_text())


def encoded(count=7):
    """Files of several formats and sizes."""
    pictures, _ = tiny_pictures(count, size=20)
    encoders = (tf.io.encode_png, tf.io.encode_jpeg)
    cut = [picture[: 12 + i] for i, picture in enumerate(pictures)]
    return [encoders[i % 2](picture).numpy() for i, picture in enumerate(cut)]


def test_answers_equal_the_models_without_keras(make_model, tmp_path):
    model = make_model()
    export(model, tmp_path / "serving" / "1")
    raw = encoded()
    found = ask(tmp_path / "serving" / "1", raw, tmp_path)
    inputs = tf.stack([model.preprocess(item) for item in raw])
    expected = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    assert found["classes"] == [list(model.classes)] * len(raw)
    best = expected.argmax(-1)
    assert found["label"] == [model.classes[i] for i in best]
    np.testing.assert_allclose(
        found["probability"], expected.max(-1), atol=1e-5
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_half_precision_model_takes_bytes_and_gives_float32(
    make_model, tmp_path, precision
):
    with policy(precision):
        model = make_model()
    export(model, tmp_path / "1")
    raw = encoded()
    served = tf.saved_model.load(str(tmp_path / "1"))
    found = served.signatures["serving_default"](tf.constant(raw))
    assert found["probabilities"].dtype == tf.float32
    inputs = tf.stack([model.preprocess(item) for item in raw])
    assert inputs.dtype == tf.float32
    np.testing.assert_allclose(
        found["probabilities"], model.predict(inputs, verbose=0), atol=1e-5
    )
    found = ask(tmp_path / "1", raw, tmp_path)
    np.testing.assert_allclose(np.sum(found["probabilities"], axis=1), 1.0)


def test_two_classes_have_two_probabilities(make_model, tmp_path):
    model = make_model(["no", "yes"])
    export(model, tmp_path / "1")
    found = ask(tmp_path / "1", encoded(2), tmp_path)
    np.testing.assert_allclose(np.sum(found["probabilities"], axis=1), 1.0)
    assert found["classes"][0] == ["no", "yes"]


def test_regression_gives_values(make_model, tmp_path):
    model = make_model(Labels(("height",), "regression"))
    export(model, tmp_path / "1")
    found = ask(tmp_path / "1", encoded(2), tmp_path)
    assert set(found) == {"targets", "values"}


def test_tensors_signature(make_model, tmp_path):
    model = make_model()
    export(model, tmp_path / "1")
    images, _ = tiny_pictures(3)
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["tensors"]
    found = served(image=tf.constant(images, tf.float32))
    np.testing.assert_allclose(
        found["probabilities"], model.predict(images, verbose=0), atol=1e-5
    )


def test_an_export_is_replaced_only_when_asked_and_whole(
    make_model, tmp_path, monkeypatch
):
    folder = tmp_path / "1"
    export(make_model(), folder)
    with pytest.raises(FileExistsError, match="overwrite"):
        export(make_model(), folder)
    before = sorted(p.name for p in folder.iterdir())
    model = make_model()
    monkeypatch.setattr(
        type(model), "__call__", lambda *a, **k: 1 / 0, raising=False
    )
    with pytest.raises(ZeroDivisionError):
        export(model, folder, overwrite=True)
    monkeypatch.undo()
    assert sorted(p.name for p in folder.iterdir()) == before
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    export(make_model(seed=1), folder, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["1"]


def test_errors_teach(make_model, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'savedmodel'"):
        export(make_model(), tmp_path / "1", format="savedmodl")
    model = make_model()
    model.preprocess = None
    with pytest.raises(ValueError, match="raw"):
        export(model, tmp_path / "1")


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_with_anything_else_is_never_replaced(
    make_model, tmp_path, overwrite
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"thesis\.txt"):
        export(make_model(), folder, overwrite=overwrite)
    export(make_model(), tmp_path / "1")
    (tmp_path / "1" / "note.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"note\.txt"):
        export(make_model(), tmp_path / "1", overwrite=overwrite)
