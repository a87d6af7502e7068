"""`tltf predict` answers as the export does, whatever lies among the files."""

import csv
import io
import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_backbone
from tltf import prediction
from tltf.core.labels import Labels
from tltf.core.model import TransferModel

BAD = ("bad.jpg", "cut.png", "empty.png")


def test_predictions_equal_the_exports(run_folder, pictures):
    model = keras.models.load_model(run_folder / "last.keras")
    served = tf.saved_model.load(str(run_folder / "export" / "1"))
    rows = prediction.predict(model, [pictures], batch_size=2)
    good = [row for row in rows if row.error is None]
    assert len(good) == 3
    for row in good:
        raw = tf.constant([pathlib.Path(row.item).read_bytes()])
        answer = served.signatures["serving_default"](raw)
        assert row.label.encode() == answer["label"].numpy()[0]
        values = [row.values[name] for name in model.classes]
        np.testing.assert_allclose(
            values, answer["probabilities"][0], rtol=0, atol=1e-5
        )


def test_bad_files_are_named_and_counted(tltf, run_folder, pictures):
    code, out, _ = tltf(
        "predict", f"--model_dir={run_folder}", pictures, pictures / "no.png"
    )
    assert code == 0
    lines = out.splitlines()
    for name in (*BAD, "no.png"):
        assert any(
            line.startswith(f"Left out: {pictures}/{name} ") for line in lines
        )
    assert ".hidden" not in out
    assert lines[-1].startswith("3 predicted, 4 left out.")


def test_nothing_but_bad_files_is_three(tltf, run_folder, pictures):
    words = ["predict", f"--model_dir={run_folder}"]
    code, out, err = tltf(*words, pictures / "bad.jpg", pictures / "cut.png")
    assert (code, out) == (3, "") and "bad.jpg, is no picture" in err
    assert tltf(*words)[0] == 2


def test_csv_and_jsonl_are_data_alone_on_stdout(tltf, run_folder, pictures):
    words = ["predict", f"--model_dir={run_folder}", pictures, "--top=2"]
    _, out, err = tltf(*words, "--format=csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 3 and set(rows[0]) == {
        "item", "label", "probability", "label_2", "probability_2",
    }  # fmt: skip
    assert "3 predicted, 3 left out." in err
    _, out, _ = tltf(*words, "--format=jsonl")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["item"] for line in lines] == [row["item"] for row in rows]
    assert [line["label"] for line in lines] == [row["label"] for row in rows]


def test_json_has_predictions_and_what_was_skipped(
    tltf_json, run_folder, pictures
):
    code, facts = tltf_json("predict", f"--model_dir={run_folder}", pictures)
    assert code == 0 and len(facts["predictions"]) == 3
    assert [s["item"].rsplit("/")[-1] for s in facts["skipped"]] == list(BAD)


def test_stdin_names_files(tltf, run_folder, pictures, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{pictures}/0.png\n"))
    code, out, _ = tltf("predict", f"--model_dir={run_folder}", "-")
    assert code == 0 and out.splitlines()[-1].startswith("1 predicted")


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    """Takes strings and says how long they are: a model of texts."""
    from tltf.core.backbone import Backbone, Block
    from tltf.core.preprocess import LayerPreprocess

    keras.utils.set_random_seed(0)
    layer = keras.layers.TextVectorization(
        vocabulary=["good", "bad", "film"], output_sequence_length=4
    )
    tokens = keras.Input((4,), dtype="int64", name="tokens")
    embedded = keras.layers.Embedding(8, 4, name="embed")(tokens)
    backbone = Backbone(
        keras.Model(tokens, embedded),
        (Block("embeddings", ("embed",)),),
        "test:texts",
        None,
        LayerPreprocess(layer),
    )
    path = tmp_path_factory.mktemp("text") / "model.keras"
    TransferModel(backbone, ["no", "yes"]).save(path)
    return path


def test_texts_come_as_words_lines_or_a_column(tltf, text_model, tmp_path):
    (tmp_path / "lines.txt").write_text("good film\nbad film\n")
    (tmp_path / "table.csv").write_text('id,text\n1,"good film"\n2,bad film\n')
    words = ["predict", f"--model={text_model}", "--format=csv"]
    _, typed, _ = tltf(*words, "good film", "bad film")
    lines = tltf(*words, f"--texts_file={tmp_path}/lines.txt")[1]
    column = tltf(
        *words, f"--texts_file={tmp_path}/table.csv", "--text_column=text"
    )[1]
    assert typed == lines == column and typed.count("\n") == 3
    code, _, err = tltf(
        *words, f"--texts_file={tmp_path}/table.csv", "--text_column=txt"
    )
    assert code == 2 and "['id', 'text']" in err


def test_regression_gives_values(tmp_path, pictures):
    model = TransferModel(tiny_backbone(40), Labels(("age",), "regression"))
    (row,) = prediction.predict(model, [pictures / "0.png"])
    assert list(row.values) == ["age"]


def test_one_string_is_not_a_list(make_model):
    with pytest.raises(TypeError, match="must be a list"):
        prediction.predict(make_model(), "a.jpg")
