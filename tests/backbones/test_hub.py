import socket
import time
import warnings

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tltf import backbones
from tltf.core.model import TransferModel
from tltf.core.preprocess import LayerPreprocess, TextPreprocess
from tltf.errors import UnavailableError

_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film", "##s"]
_TINY = {
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
}
_TEXTS = ["a films", "film", ""]
_SCALE, _OFFSET = [0.01, 0.02, 0.03], [-1.0, 0.5, 2.0]


def _word_piece_preset(folder, kind, **arguments):
    keras.utils.set_random_seed(1)
    models = keras_hub.models
    network = getattr(models, f"{kind}Backbone")(
        **_TINY, max_sequence_length=16, **arguments
    )
    network.save_to_preset(folder)
    tokenizer = getattr(models, f"{kind}Tokenizer")(vocabulary=_WORDS)
    tokenizer.save_to_preset(folder)
    return network


def _text_preset(folder, kind, **arguments):
    keras.utils.set_random_seed(1)
    network = getattr(keras_hub.models, f"{kind}Backbone")(**arguments)
    network.save_to_preset(folder)
    return network


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "preset")


@pytest.mark.parametrize(
    ("kind", "vocabulary", "pooler"),
    [
        ("Bert", {"vocabulary_size": 8}, ["pooler"]),
        ("Electra", {"vocab_size": 8, "embedding_dim": 8}, ["pooler"]),
        ("DistilBert", {"vocabulary_size": 8}, []),
    ],
)
def test_word_piece_encoders_equal_the_original(
    folder, kind, vocabulary, pooler
):
    network = _word_piece_preset(folder, kind, **vocabulary)
    backbone = backbones.load(f"hub:{folder}", sequence_length=6)
    names = [block.name for block in backbone.blocks]
    assert names == ["embeddings", "layer_0", "layer_1", *pooler]
    assert isinstance(backbone.preprocess, TextPreprocess)
    inputs = backbone.preprocess(tf.constant(_TEXTS))
    assert set(inputs) == set(backbone.model.input)
    # Extra keys, even unused ones, would be taken for the others.
    expected = network({key: inputs[key] for key in network.input})
    expected = expected["pooled_output"] if pooler else expected[:, 0, :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = backbone.model(inputs)
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_bert_transfer_model_survives_a_file(folder, tmp_path):
    _word_piece_preset(folder, "Bert", vocabulary_size=8)
    backbone = backbones.load(f"hub:{folder}", sequence_length=6)
    model = TransferModel(backbone, 3)
    model.unfreeze(1, batch_norm="train")
    trained = {variable.path for variable in model.trainable_variables}
    assert trained == {
        "pooled_dense/kernel",
        "pooled_dense/bias",
        "predictions/kernel",
        "predictions/bias",
    }
    model.save(tmp_path / "model.keras")
    again = backbones.load(f"saved:{tmp_path / 'model.keras'}")
    inputs = backbone.preprocess(tf.constant(_TEXTS))
    np.testing.assert_array_equal(again.model(inputs), backbone.model(inputs))
    assert again.blocks == backbone.blocks
    assert again.preprocess == backbone.preprocess


def test_random_weights_and_weights_from_a_file(folder, tmp_path):
    _word_piece_preset(folder, "Bert", vocabulary_size=8)
    pretrained = backbones.load(f"hub:{folder}", sequence_length=6)
    random = backbones.load(f"hub:{folder}", weights=None, sequence_length=6)
    assert (pretrained.weights, random.weights) == (folder, None)
    inputs = pretrained.preprocess(tf.constant(_TEXTS))
    wanted = pretrained.model(inputs)
    assert np.abs(np.array(wanted - random.model(inputs))).max() > 0.1
    path = str(tmp_path / "mine.weights.h5")
    pretrained.model.save_weights(path)
    again = backbones.load(f"hub:{folder}", weights=path, sequence_length=6)
    np.testing.assert_array_equal(again.model(inputs), wanted)


def test_roberta_takes_what_its_own_preprocessor_gives(folder):
    vocabulary = ["<s>", "<pad>", "</s>", "a", "Ġ", "b", "<mask>", "ab"]
    tokenizer = keras_hub.models.RobertaTokenizer(
        vocabulary={word: i for i, word in enumerate(vocabulary)},
        merges=["a b"],
    )
    arguments = {"vocabulary_size": 8, "max_sequence_length": 16}
    network = _text_preset(folder, "Roberta", **_TINY, **arguments)
    tokenizer.save_to_preset(folder)
    backbone = backbones.load(f"hub:{folder}", sequence_length=6)
    assert isinstance(backbone.preprocess, LayerPreprocess)
    inputs = backbone.preprocess(tf.constant(["ab", "a b"]))
    assert set(inputs) == set(backbone.model.input)
    np.testing.assert_allclose(
        backbone.model(inputs), network(inputs)[:, 0, :], atol=1e-6
    )


_LLAMA = {
    "vocabulary_size": 8,
    "num_layers": 2,
    "num_query_heads": 2,
    "num_key_value_heads": 1,
    "hidden_dim": 8,
    "intermediate_dim": 16,
}


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("GPT2", {**_TINY, "vocabulary_size": 8, "max_sequence_length": 16}),
        ("Llama", _LLAMA),
        ("Gemma", {**_LLAMA, "head_dim": 4}),
    ],
)
def test_decoders_give_the_last_real_token(folder, tmp_path, kind, arguments):
    network = _text_preset(folder, kind, **arguments)
    backbone = backbones.load(f"hub:{folder}", sequence_length=5)
    assert backbone.preprocess is None
    inputs = {
        "token_ids": np.array([[2, 3, 4, 0, 0], [5, 6, 7, 2, 3]]),
        "padding_mask": np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]),
    }
    tokens = np.array(network(inputs))
    expected = np.stack([tokens[0, 2], tokens[1, 4]])
    np.testing.assert_allclose(backbone.model(inputs), expected, atol=1e-6)
    model = TransferModel(backbone, 3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(inputs), model(inputs))


def test_encoder_decoders_are_refused(folder):
    _text_preset(
        folder, "Bart", **_TINY, vocabulary_size=8, max_sequence_length=16
    )
    with pytest.raises(ValueError, match="BartBackbone"):
        backbones.load(f"hub:{folder}")


def test_networks_that_keras_hub_cannot_save_are_refused(folder):
    # After hours of training it would be too late.
    _text_preset(
        folder,
        "DebertaV3",
        **_TINY,
        vocabulary_size=8,
        max_sequence_length=16,
        bucket_size=4,
    )
    with pytest.raises(ValueError, match="RelativeEmbedding"):
        backbones.load(f"hub:{folder}", sequence_length=16)


def test_too_long_texts_are_refused(folder):
    _word_piece_preset(folder, "Bert", vocabulary_size=8)
    with pytest.raises(ValueError, match=r"at most 16\. Received: 17"):
        backbones.load(f"hub:{folder}", sequence_length=17)


def _image_preset(folder, kind, converter, **arguments):
    keras.utils.set_random_seed(1)
    network = getattr(keras_hub.models, f"{kind}Backbone")(**arguments)
    # Fresh class tokens are zero, which would hide an error.
    network.set_weights(
        [
            weight + 0.05 * np.cos(np.arange(weight.size)).reshape(weight.shape)
            for weight in network.get_weights()
        ]
    )
    network.save_to_preset(folder)
    converter(image_size=(32, 32), scale=_SCALE, offset=_OFFSET).save_to_preset(
        folder
    )
    return keras_hub.models.Backbone.from_preset(folder)


_VIT = {"patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 16}


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("ViT", {**_VIT, "mlp_dim": 32, "image_shape": (32, 32, 3)}),
        ("DeiT", {**_VIT, "intermediate_dim": 32, "image_shape": (32, 32, 3)}),
        (
            "DINOV2",
            {
                **_VIT,
                "intermediate_dim": 32,
                "image_shape": (32, 32, 3),
                "position_embedding_shape": (40, 40, 3),
                "num_register_tokens": 2,
            },
        ),
    ],
)
def test_unrolled_transformers_equal_the_original(
    folder, tmp_path, kind, arguments
):
    converter = getattr(keras_hub.layers, f"{kind}ImageConverter")
    network = _image_preset(folder, kind, converter, **arguments)
    backbone = backbones.load(f"hub:{folder}")
    names = [block.name for block in backbone.blocks]
    assert names == ["embeddings", "layer_0", "layer_1"]
    assert backbone.image_size == (32, 32)
    pixels = _pixels()
    inputs = pixels * np.float32(_SCALE) + np.float32(_OFFSET)
    if isinstance(network.input, dict):
        inputs = {"images": inputs}
    expected = network(inputs)[:, 0, :]
    np.testing.assert_allclose(
        backbone.model(pixels), expected, rtol=1e-5, atol=1e-6
    )
    for layer in backbone.model.layers:
        assert layer.output is not None
    _check_file(backbone, pixels, tmp_path)


def test_convolutional_preset_scales_inside(folder, tmp_path):
    network = _image_preset(
        folder,
        "ResNet",
        keras_hub.layers.ResNetImageConverter,
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[2, 2],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    backbone = backbones.load(f"hub:{folder}")
    names = [block.name for block in backbone.blocks]
    assert names == ["conv1", "stack0", "stack1"]
    pixels = _pixels()
    inputs = pixels * np.float32(_SCALE) + np.float32(_OFFSET)
    np.testing.assert_allclose(
        backbone.model(pixels), network(inputs), rtol=1e-4, atol=1e-4
    )
    _check_file(backbone, pixels, tmp_path)


def _pixels():
    shape = (2, 32, 32, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def _check_file(backbone, pixels, tmp_path):
    model = TransferModel(backbone, 3)
    path = tmp_path / "model.keras"
    for _ in range(2):  # What was loaded can be saved again.
        model.save(path)
        saved = backbones.load(f"saved:{path}")
        np.testing.assert_allclose(
            saved.model(pixels), backbone.model(pixels), atol=1e-6
        )
        model = TransferModel(saved, 3)
    answers = model(pixels)
    for _ in range(2):  # Also by Keras alone.
        model.save(path)
        model = keras.models.load_model(path)
        np.testing.assert_allclose(model(pixels), answers, atol=1e-6)


@pytest.mark.parametrize(
    "preset", ["bert_tiny_en_uncased", "hf://nobody/nothing"]
)
def test_without_network_the_error_comes_within_seconds(
    preset, monkeypatch, tmp_path
):
    def no_network(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    start = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        backbones.load(f"hub:{preset}")
    assert time.monotonic() - start < 15
    assert preset in str(caught.value)
    assert "hub:./folder" in str(caught.value)


def test_folder_without_a_preset_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"):
        backbones.load(f"hub:{tmp_path}")
    with pytest.raises(ValueError, match="does not exist"):
        backbones.load(f"hub:{tmp_path / 'nothing'}")
