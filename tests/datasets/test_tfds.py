import time

import numpy as np
import pytest
import tensorflow as tf

from tests.datasets.conftest import pixels
from tltf.datasets import tfds, tfds_builder
from tltf.errors import DataError, UnavailableError

tensorflow_datasets = pytest.importorskip("tensorflow_datasets")


@pytest.fixture
def no_network(monkeypatch):
    monkeypatch.setattr(tfds_builder, "_is_online", lambda: False)


@pytest.fixture
def mocked():
    with tensorflow_datasets.testing.mock_data(num_examples=60):
        yield


@pytest.fixture
def image_folder(flowers):
    flowers({"cat": 3, "dog": 4}, "train")
    root = flowers({"cat": 2, "dog": 2}, "test")
    return tensorflow_datasets.ImageFolder(root)


@pytest.fixture
def prepared(tmp_path):
    """Writes a real dataset and returns its folder."""

    def write(called, rows, **features):
        class Made(
            tensorflow_datasets.core.GeneratorBasedBuilder,
            skip_registration=True,
        ):
            name = called
            VERSION = tensorflow_datasets.core.Version("1.0.0")

            def _info(self):
                return tensorflow_datasets.core.DatasetInfo(
                    builder=self,
                    features=tensorflow_datasets.features.FeaturesDict(
                        features
                    ),
                )

            def _split_generators(self, dl_manager):
                return {
                    part: self._generate_examples(r) for part, r in rows.items()
                }

            def _generate_examples(self, part_rows):
                yield from enumerate(part_rows)

        builder = Made(data_dir=str(tmp_path))
        builder.download_and_prepare()
        return str(builder.data_path)

    return write


def test_a_mocked_dataset_of_pictures(mocked, no_network):
    splits = tfds.load("mnist", image_size=8, batch_size=4)
    assert splits.classes == tuple("0123456789")
    assert len(splits.train) + len(splits.validation) == 60
    assert splits.train.preprocess.image_size == (8, 8)
    assert not splits.train.is_files
    images, labels = next(iter(splits.train))
    assert images.shape == (4, 8, 8, 3)
    np.testing.assert_array_equal(labels, splits.train.targets[:4])


def test_a_mocked_dataset_of_texts(mocked, no_network):
    splits = tfds.load("imdb_reviews")
    assert splits.classes == ("neg", "pos")
    assert splits.train.preprocess is None
    assert next(iter(splits.train))[0].dtype == "string"


def test_without_supervised_keys_features_are_guessed(mocked, no_network):
    splits = tfds.load("glue/sst2")
    assert splits.classes == ("negative", "positive")
    assert "Feature 'sentence' was taken for the input." in splits.notes
    with pytest.raises(DataError, match=r"no feature 'sentense'.*'sentence'"):
        tfds.load("glue/sst2", input_feature="sentense")
    with pytest.raises(DataError, match=r"not just one.*input_feature"):
        tfds.load("glue/mrpc")
    assert tfds.load("glue/mrpc", input_feature="sentence1").train


def test_what_is_not_here_is_said_within_seconds(tmp_path, no_network):
    start = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        tfds.load("glue/sst2", data_dir=str(tmp_path))
    assert time.monotonic() - start < 20
    message = str(caught.value)
    assert str(tmp_path / "glue" / "sst2") in message
    assert "tfds build glue/sst2" in message


def test_the_network_is_asked_once_and_briefly(monkeypatch):
    monkeypatch.setattr(tfds_builder, "_PROBE", "http://127.0.0.1:9/nothing")
    monkeypatch.setattr(tfds_builder, "_PROBE_SECONDS", 1.0)
    start = time.monotonic()
    assert not tfds_builder._is_online()
    assert time.monotonic() - start < 5


def test_a_failed_download_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_builder, "_is_online", lambda: True)

    def fail(self, **_):
        raise ConnectionError("reset by peer")

    builder = tensorflow_datasets.core.DatasetBuilder
    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with pytest.raises(UnavailableError, match="reset by peer"):
        tfds.load("mnist", data_dir=str(tmp_path))


def test_unknown_names_offer_the_nearest(tmp_path):
    with pytest.raises(DataError, match="mean 'mnist'"):
        tfds.load("mnits", data_dir=str(tmp_path))
    with pytest.raises(DataError, match="cannot be made"):
        tfds.load("glue/nothing", data_dir=str(tmp_path))
    with pytest.raises(DataError, match="dataset_info"):
        tfds.load(str(tmp_path))


def test_an_image_folder_builder(image_folder):
    splits = tfds.load(image_folder, image_size=8)
    assert splits.classes == ("cat", "dog")
    assert splits.test.class_counts == {"cat": 2, "dog": 2}
    assert splits.train.class_counts == {"cat": 2, "dog": 3}
    assert splits.validation.class_counts == {"cat": 1, "dog": 1}
    images, _ = next(iter(splits.test))
    assert images.shape == (4, 8, 8, 3)


def test_pictures_are_decoded_by_our_preprocess(prepared):
    rows = [{"image": pixels(i), "label": "ab"[i % 2]} for i in range(10)]
    folder = prepared(
        "pictures",
        {"train": rows},
        image=tensorflow_datasets.features.Image(shape=(12, 16, 3)),
        label=tensorflow_datasets.features.ClassLabel(names=["a", "b"]),
    )
    splits = tfds.load(folder, image_size=(12, 16))
    given = {row["image"].tobytes() for row in rows}
    for part in (splits.train, splits.validation):
        spec = part.examples.element_spec[0]
        assert spec.dtype == tf.string
        for images, _ in part:
            for image in images.numpy():
                assert image.astype("uint8").tobytes() in given
    assert len(splits.train) == 8 and len(splits.validation) == 2


def test_a_prepared_folder_with_slices_and_missing_labels(prepared):
    def rows(n):
        return [
            {"text": f"{i}", "label": i % 2, "number": i / 2} for i in range(n)
        ]

    hidden = [{"text": "?", "label": -1, "number": 0.0}] * 3
    folder = prepared(
        "texts",
        {"train": rows(40), "validation": rows(6) + hidden, "test": hidden},
        text=tensorflow_datasets.features.Text(),
        label=tensorflow_datasets.features.ClassLabel(names=["even", "odd"]),
        number=np.float32,
    )
    splits = tfds.load(folder)
    assert len(splits.train) == 40
    assert len(splits.validation) == 6
    assert splits.test is None
    assert any("No example of test has a label" in n for n in splits.notes)
    for texts, labels in splits.validation:
        np.testing.assert_array_equal(
            [int(t) % 2 for t in texts.numpy()], labels
        )
    sliced = tfds.load(
        folder,
        train_split="train[:50%]",
        validation_split="train[50%:75%]",
        test_split="train[75%:]",
    )
    assert [len(p) for p in sliced.parts.values()] == [20, 10, 10]
    with pytest.raises(DataError, match=r"no split 'trian'.*mean 'train'"):
        tfds.load(folder, train_split="trian[:50%]")
    values = tfds.load(folder, label_feature="number")
    assert values.labels.kind == "regression"


def test_every_pass_and_order_is_the_same_again(prepared):
    rows = [{"text": f"{i}", "label": i % 2} for i in range(40)]
    folder = prepared(
        "texts",
        {"train": rows},
        text=tensorflow_datasets.features.Text(),
        label=tensorflow_datasets.features.ClassLabel(num_classes=2),
    )
    train = tfds.load(folder, batch_size=8).train

    def texts(dataset):
        return [t for x, _ in dataset.take(4) for t in x.numpy()]

    assert texts(train.batches()) == texts(train.batches())
    first, again = (texts(train.passes(seed=3)) for _ in range(2))
    assert first == again != texts(train.batches())
    assert sorted(first) == sorted(texts(train.batches()))
