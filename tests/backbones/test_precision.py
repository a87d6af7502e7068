"""Every source of backbones honours `precision`, or says that it does not."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.test_hub import (
    _OFFSET,
    _SCALE,
    _TEXTS,
    _TINY,
    _image_preset,
    _pixels,
    _text_preset,
    _word_piece_preset,
)
from tests.conftest import CLASSES, tiny_backbone
from tltf import backbones, flow
from tltf.core.model import TransferModel
from tltf.core.precision import policy, precision_of

# bfloat16 has eight significant bits, the first of them implied: rounding to
# the nearest is off by at most half of 2**-7 of a value.
ROUNDING = 2.0**-8


def distance(found, expected):
    """The length of the difference, as a share of what is expected."""
    found, expected = (
        np.asarray(x).astype("float64") for x in (found, expected)
    )
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def load_all(source, **options):
    """Loads it in float32 and in bfloat16, with the same random weights."""
    models = []
    for precision in ("float32", "bfloat16"):
        keras.utils.set_random_seed(0)
        loaded = backbones.load(source, precision=precision, **options)
        assert loaded.precision == precision
        assert keras.config.dtype_policy().name == "float32"
        models.append(loaded.model)
    single, half = models
    assert {v.dtype for v in half.trainable_variables} == {"float32"}
    half.set_weights(single.get_weights())
    return single, half


@pytest.mark.parametrize(
    ("source", "rounded"),
    [
        ("applications:MobileNetV2", 52),
        ("applications:ResNet50", 53),
        ("applications:EfficientNetB0", 81),
        ("cv:ResNet18V2", 20),
    ],
)
def test_networks_of_pictures_stay_within_rounding(source, rounded):
    """Errors of independent roundings add up as the root of their number.

    A convolution and the normalisation behind it round four times: kernel,
    product, and the normalisation's scale and sum. Each is off by no more
    than `ROUNDING`, so that `rounded` such pairs are off by about
    `ROUNDING * sqrt(4 * rounded)`; worst of all would be their sum.
    """
    single, half = load_all(source, weights=None, image_size=64)
    random = np.random.default_rng(0)
    pixels = random.uniform(0, 255, (4, 64, 64, 3)).astype("float32")
    found = distance(half(pixels), single(pixels))
    assert ROUNDING / 10 < found < ROUNDING * np.sqrt(4 * rounded)


@pytest.mark.parametrize(
    "source", ["applications:MobileNetV2", "demo:digits_0_4"]
)
def test_pixels_are_normalised_in_float32(source):
    single, half = load_all(source, weights=None, image_size=40)
    name = single.layers[1].name
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 40, 40, 3))
    found, wanted = (
        keras.Model(model.input, model.get_layer(name).output)(pixels)
        for model in (half, single)
    )
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, wanted)


def test_bert_in_bfloat16_keeps_its_tokens_and_its_precision(tmp_path):
    folder = str(tmp_path / "preset")
    _word_piece_preset(folder, "Bert", vocabulary_size=8)
    single, half = (
        backbones.load(f"hub:{folder}", sequence_length=6, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    assert half.precision == "bfloat16"
    inputs, tokens = (b.preprocess(tf.constant(_TEXTS)) for b in (half, single))
    for name in inputs:
        np.testing.assert_array_equal(inputs[name], tokens[name])
    model = TransferModel(half, 3)
    assert distance(half.model(inputs), single.model(inputs)) < 8 * ROUNDING
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.precision == "bfloat16"
    np.testing.assert_array_equal(again(inputs), model(inputs))


def test_a_tokenizer_of_kerashub_is_untouched_by_the_precision(tmp_path):
    words = ["<s>", "<pad>", "</s>", "a", "Ġ", "b", "<mask>", "ab"]
    tokenizer = keras_hub.models.RobertaTokenizer(
        vocabulary={word: i for i, word in enumerate(words)}, merges=["a b"]
    )
    folder = str(tmp_path / "preset")
    _text_preset(
        folder, "Roberta", **_TINY, vocabulary_size=8, max_sequence_length=16
    )
    tokenizer.save_to_preset(folder)
    found = [
        backbones.load(f"hub:{folder}", sequence_length=6, precision=precision)
        for precision in ("float32", "bfloat16")
    ]
    tokens = [b.preprocess(tf.constant(["ab", "a b"])) for b in found]
    for name in tokens[0]:
        assert tokens[0][name].dtype == tokens[1][name].dtype
        np.testing.assert_array_equal(tokens[0][name], tokens[1][name])
    outputs = [b.model(t) for b, t in zip(found, tokens, strict=True)]
    assert distance(*outputs[::-1]) < 8 * ROUNDING


def test_vit_in_bfloat16_scales_pixels_in_float32(tmp_path):
    folder = str(tmp_path / "preset")
    _image_preset(
        folder,
        "ViT",
        keras_hub.layers.ViTImageConverter,
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
        image_shape=(32, 32, 3),
    )
    single, half = load_all(f"hub:{folder}")
    scaled = keras.Model(half.input, half.get_layer("normalisation").output)
    expected = _pixels() * np.float32(_SCALE) + np.float32(_OFFSET)
    np.testing.assert_allclose(scaled(_pixels()), expected, rtol=1e-6)
    assert distance(half(_pixels()), single(_pixels())) < 8 * ROUNDING


@pytest.mark.parametrize("cut", [None, "b2_relu"])
def test_a_saved_model_keeps_its_precision_unless_told_otherwise(cut, tmp_path):
    path = str(tmp_path / "model.keras")
    model = TransferModel(tiny_backbone(), CLASSES)
    model.save(path)
    kept = backbones.load(f"saved:{path}", cut=cut)
    half = backbones.load(f"saved:{path}", cut=cut, precision="bfloat16")
    assert (kept.precision, half.precision) == ("float32", "bfloat16")
    assert half.blocks == kept.blocks
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 3))
    assert 0 < distance(half.model(pixels), kept.model(pixels)) < 8 * ROUNDING
    TransferModel(half, CLASSES).save(path)
    assert backbones.load(f"saved:{path}").precision == "bfloat16"
    back = backbones.load(f"saved:{path}", precision="float32")
    np.testing.assert_array_equal(back.model(pixels), kept.model(pixels))


def test_a_model_of_ones_own_has_the_precision_it_was_built_with():
    with policy("bfloat16"):
        half = tiny_backbone().model
    assert backbones.load(half).precision == "bfloat16"
    assert backbones.load(half, precision="bfloat16").model is half
    with pytest.raises(ValueError, match=r"own is bfloat16.*'mixed_float16'"):
        backbones.load(half, precision="float16")
    loaded = backbones.load(half)
    with pytest.raises(ValueError, match=r"own:functional.* is bfloat16"):
        flow.image_classifier(loaded, 3, precision="float32")
    assert flow.image_classifier(loaded, 3).precision == "bfloat16"


def test_a_wrong_precision_is_found_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(keras.applications, "MobileNetV2", None)
    with pytest.raises(ValueError, match="Did you mean 'bfloat16'"):
        backbones.load("applications:MobileNetV2", precision="bflot16")


def test_the_policy_comes_back_where_a_source_fails():
    with pytest.raises(ValueError, match="no network"):
        backbones.load("applications:MobileNetV9", precision="float16")
    assert keras.config.dtype_policy().name == "float32"


def test_a_global_policy_of_the_users_is_respected():
    options = {"weights": None, "image_size": 40}
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = [
            flow.image_classifier("demo:digits_0_4", 3, **options, **more)
            for more in ({}, {"precision": "float32"})
        ]
    finally:
        keras.config.set_dtype_policy("float32")
    assert [precision_of(m) for m in found] == ["bfloat16", "float32"]
