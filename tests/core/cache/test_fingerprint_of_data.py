"""Data are known by all that is in them, and by what is done with them."""

import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES
from tltf.core.cache import fingerprint
from tltf.core.labels import Labels
from tltf.core.preprocess import LayerPreprocess
from tltf.core.split import Split


def data_print(examples, preprocess=None, **settings):
    targets = np.zeros(len(examples), "int32")
    split = Split(examples, targets, Labels(CLASSES), **settings)
    return fingerprint.of_data(split, preprocess)


def test_the_vocabulary_of_preprocessing_matters():
    """KerasHub's tokenizers do not have it in their settings."""
    vocabulary = ["<s>", "<pad>", "</s>", "a", "Ġ", "b", "<mask>", "ab"]
    other = [*vocabulary[:3], "b", "Ġ", "a", *vocabulary[6:]]
    prints = []
    for words in (vocabulary, vocabulary, other):
        tokenizer = keras_hub.models.RobertaTokenizer(
            {word: number for number, word in enumerate(words)}, ["a b"]
        )
        layer = keras_hub.models.RobertaTextClassifierPreprocessor(
            tokenizer, sequence_length=4
        )
        texts = np.array(["ab"], object)
        prints.append(data_print(texts, LayerPreprocess(layer)))
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (np.array(["ab", "c"], object), np.array(["a", "bc"], object)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros((2, 3), "int32"), np.zeros((2, 3), "float32")),
        (np.array(["a", "b"], object), np.array(["b", "a"], object)),
    ],
    ids=["where texts end", "shape", "dtype", "order"],
)
def test_other_data_have_another_fingerprint(first, second):
    assert data_print(first) != data_print(second)
    assert data_print(first) == data_print(first.copy())


def test_files_are_known_by_their_content_not_by_their_name(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(b"other" if name == "c" else b"same")
    prints = [
        data_print(np.array([str(tmp_path / name)], object), is_files=True)
        for name in "abc"
    ]
    assert prints[0] == prints[1] != prints[2]


def test_files_may_lie_elsewhere():
    """Wherever TensorFlow reads them."""
    prints = []
    for content in (b"one", b"two"):
        with tf.io.gfile.GFile("ram://tests/picture.png", "wb") as file:
            file.write(content)
        path = np.array(["ram://tests/picture.png"], object)
        prints.append(data_print(path, is_files=True))
    assert prints[0] != prints[1]
