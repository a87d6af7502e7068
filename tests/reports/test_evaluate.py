import base64
import io

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, tiny_pictures
from tltf.core.backbone import Backbone, Block
from tltf.core.labels import Labels
from tltf.core.model import TransferModel
from tltf.core.preprocess import ImagePreprocess, LayerPreprocess
from tltf.core.split import Split
from tltf.errors import TrainingError
from tltf.reports.evaluate import evaluate


@pytest.fixture
def picture_files(tmp_path):
    """Gives a split of PNG files, as a folder is loaded."""
    images, targets = tiny_pictures(24)
    paths = []
    for i, image in enumerate(images):
        paths.append(str(tmp_path / f"{i}.png"))
        PIL.Image.fromarray(image).resize((200, 100)).save(paths[-1])
    return Split(
        np.array(paths),
        targets.astype("int32"),
        Labels(CLASSES),
        names=tuple(paths),
        preprocess=ImagePreprocess((12, 12)),
        is_files=True,
        batch_size=10,
    )


def predicted(model, split):
    inputs = split.batches(preprocess=model.preprocess)
    return np.concatenate([model(x, training=False) for x, _ in inputs])


def decoded(uri):
    content = base64.b64decode(uri.split(",")[1])
    return PIL.Image.open(io.BytesIO(content))


def test_figures_are_those_of_the_models_predictions(make_model, picture_files):
    model = make_model()
    report = evaluate(model, picture_files, resamples=50)
    outputs = predicted(model, picture_files)
    right = outputs.argmax(axis=1) == picture_files.targets
    assert report.metrics["accuracy"]["value"] == pytest.approx(right.mean())
    assert report.size == 24
    assert np.sum(report.confusion) == 24
    assert report.facts["backbone"] == "test:tiny"
    assert report.facts["parameters"] == model.count_params()


def test_worst_mistakes_are_the_most_confident_wrong_ones(
    make_model, picture_files
):
    model = make_model()
    report = evaluate(model, picture_files, worst=3, resamples=5)
    outputs = predicted(model, picture_files)
    wrong = outputs.argmax(axis=1) != picture_files.targets
    order = [i for i in np.argsort(-outputs.max(axis=1)) if wrong[i]][:3]
    assert [m["name"] for m in report.worst] == [
        picture_files.names[i] for i in order
    ]
    first = report.worst[0]
    assert first["truth"] == CLASSES[picture_files.targets[order[0]]]
    assert first["predicted"] != first["truth"]
    assert first["probability"] == pytest.approx(outputs[order[0]].max(), 1e-4)
    assert decoded(first["image"]).size == (128, 64)


def test_arrays_datasets_and_splits_give_one_report(make_model, splits):
    model = make_model()
    images, targets = tiny_pictures()
    dataset = tf.data.Dataset.from_tensor_slices((images, targets))
    one_hot = np.eye(3)[targets]
    named = np.array(CLASSES)[targets]
    reports = [
        evaluate(model, data, resamples=20)
        for data in (
            (images, targets),
            (images, one_hot),
            (images, named),
            dataset,
            dataset.batch(7),
            tf.data.Dataset.from_tensor_slices((images, one_hot)).batch(5),
        )
    ]
    for report in reports[1:]:
        assert report.confusion == reports[0].confusion
        for found, expected in zip(report.worst, reports[0].worst, strict=True):
            close = pytest.approx(expected["probability"], rel=1e-5)
            assert found == expected | {"probability": close}
        assert report.metrics["log_loss"]["value"] == pytest.approx(
            reports[0].metrics["log_loss"]["value"], rel=1e-5
        )


def test_shuffled_dataset_keeps_labels_and_pictures_together(make_model):
    model = make_model()
    images, targets = tiny_pictures()
    dataset = tf.data.Dataset.from_tensor_slices((images, targets))
    shuffled = dataset.shuffle(36, reshuffle_each_iteration=True).batch(8)
    straight = evaluate(model, dataset.batch(8), worst=5, resamples=5)
    mixed = evaluate(model, shuffled, worst=5, resamples=5)
    assert mixed.confusion == straight.confusion
    assert {m["image"] for m in mixed.worst} == {
        m["image"] for m in straight.worst
    }


def test_dataset_of_encoded_files_shows_pictures(make_model, picture_files):
    model = make_model()
    paths = tf.data.Dataset.from_tensor_slices(
        (picture_files.examples, picture_files.targets)
    )
    encoded = paths.map(lambda path, label: (tf.io.read_file(path), label))
    expected = evaluate(model, picture_files, resamples=5)
    for dataset in (encoded, encoded.batch(5)):
        report = evaluate(model, dataset, resamples=5)
        assert report.confusion == expected.confusion
        assert decoded(report.worst[0]["image"]).size == (128, 64)


def test_split_of_a_stream_finds_its_worst_again(make_model, picture_files):
    model = make_model()
    encoded = tf.data.Dataset.from_tensor_slices(
        (picture_files.examples, picture_files.targets)
    ).map(lambda path, label: (tf.io.read_file(path), label))
    split = Split(encoded, picture_files.targets, Labels(CLASSES))
    report = evaluate(model, split, worst=4, resamples=5)
    expected = evaluate(model, picture_files, worst=4, resamples=5)
    assert [m["image"] for m in report.worst] == [
        m["image"] for m in expected.worst
    ]


def test_texts_are_shown_as_excerpts():
    vectorize = keras.layers.TextVectorization(
        output_sequence_length=4, vocabulary=["good", "bad", "film"]
    )
    tokens = keras.Input((4,), dtype="int64", name="tokens")
    vectors = keras.layers.Embedding(6, 3, name="embedding")(tokens)
    backbone = Backbone(
        keras.Model(tokens, vectors),
        (Block("embeddings", ("embedding",)),),
        "test:text",
        preprocess=LayerPreprocess(vectorize),
    )
    model = TransferModel(backbone, ("bad", "good"))
    texts = np.array(["good film", "bad film", "film " * 200] * 4)
    targets = np.array([0, 1, 1] * 4)
    split = Split(texts, targets, Labels(("bad", "good")))
    dataset = tf.data.Dataset.from_tensor_slices((texts, targets)).batch(5)
    for data in (split, dataset, (texts, targets)):
        report = evaluate(model, data, resamples=5)
        assert report.worst[0]["image"] is None
        assert report.worst[0]["text"] in {"good film", "bad film"} | {
            ("film " * 200)[:279] + "…"
        }


def test_regression_and_multi_label_mistakes_are_told():
    keras.utils.set_random_seed(0)
    values = np.random.default_rng(0).standard_normal((20, 4)).astype("float32")

    def model_of(kind, classes):
        inputs = keras.Input((4,), name="x")
        outputs = keras.layers.Dense(3, name="dense")(inputs)
        blocks = (Block("stem", ("dense",)),)
        backbone = Backbone(keras.Model(inputs, outputs), blocks, "test:flat")
        return TransferModel(backbone, classes, label_kind=kind)

    report = evaluate(
        model_of("regression", ("age",)), (values, values[:, 0]), resamples=5
    )
    assert report.worst[0]["probability"] is None
    error = [
        abs(float(m["truth"]) - float(m["predicted"])) for m in report.worst
    ]
    assert error == sorted(error, reverse=True)
    targets = (values[:, :2] > 0).astype("float32")
    report = evaluate(
        model_of("multi_label", ("red", "big")), (values, targets), resamples=5
    )
    said = {(m["truth"], m["predicted"]) for m in report.worst}
    assert said <= {
        (a, b)
        for name in ("red", "big")
        for a, b in ((name, f"not {name}"), (f"not {name}", name))
    }


def test_split_loaded_for_another_size_is_an_error(make_model, picture_files):
    with pytest.raises(ValueError, match=r"another model.*\(12, 12\)"):
        evaluate(make_model(size=16), picture_files)


def test_arrays_of_another_size_are_an_error(make_model):
    with pytest.raises(ValueError, match=r"takes inputs \(16, 16, 3\)"):
        evaluate(make_model(size=16), tiny_pictures())


def test_classes_in_another_order_are_an_error(make_model, splits):
    with pytest.raises(ValueError, match="same order"):
        evaluate(make_model(classes=("bee", "ape", "cat")), splits.validation)


def test_nan_predictions_are_counted(make_model, splits):
    model = make_model()
    kernel = model.layers[-1].kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    size = len(splits.train)
    with pytest.raises(TrainingError, match=f"{size} of {size} predictions"):
        evaluate(model, splits.train)
    images, targets = tiny_pictures()
    dataset = tf.data.Dataset.from_tensor_slices((images, targets)).batch(36)
    with pytest.raises(TrainingError, match="36 of 36 predictions"):
        evaluate(model, dataset)


@pytest.mark.parametrize("labels", [[0, 1, 3], [0, -1, 2], [0.5, 1, 2]])
def test_labels_that_are_no_classes_are_an_error(make_model, labels):
    images, _ = tiny_pictures(3)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    with pytest.raises(ValueError, match=r"0\.\.2"):
        evaluate(make_model(), dataset)


def test_things_that_are_no_data_or_model_are_errors(make_model, splits):
    with pytest.raises(TypeError, match=r"splits\.test"):
        evaluate(make_model(), splits)
    with pytest.raises(TypeError, match="TransferModel"):
        evaluate(keras.Sequential(), splits.train)
    images = tf.data.Dataset.from_tensor_slices(tiny_pictures()[0])
    with pytest.raises(ValueError, match="inputs, labels"):
        evaluate(make_model(), images)


def test_evaluating_does_not_change_the_model(make_model, splits):
    model = make_model()
    before = [v.numpy() for v in model.variables]
    evaluate(model, splits.train, resamples=5)
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_report_of_an_evaluation_can_be_saved(make_model, splits, tmp_path):
    report = evaluate(make_model(), splits.validation, resamples=20)
    text = report.save(tmp_path).read_text()
    assert "data:image/png" in text
