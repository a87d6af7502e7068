import importlib
import inspect
import socket
import time

import keras
import numpy as np
import pytest

from tltf import backbones
from tltf.core.backbone import layers_of
from tltf.core.graph import trace
from tltf.core.model import TransferModel
from tltf.errors import UnavailableError

# Written down from the documentation of keras.applications, on purpose not
# read from the code under test.
_SMALLEST = {
    "Xception": 71,
    "InceptionV3": 75,
    "InceptionResNetV2": 75,
}
_MODULES = (
    ("vgg16", ("VGG16",)),
    ("vgg19", ("VGG19",)),
    ("resnet", ("ResNet50", "ResNet101", "ResNet152")),
    ("resnet_v2", ("ResNet50V2", "ResNet101V2", "ResNet152V2")),
    ("inception_v3", ("InceptionV3",)),
    ("inception_resnet_v2", ("InceptionResNetV2",)),
    ("xception", ("Xception",)),
    ("mobilenet", ("MobileNet",)),
    ("mobilenet_v2", ("MobileNetV2",)),
    ("mobilenet_v3", ("MobileNetV3Small", "MobileNetV3Large")),
    ("densenet", ("DenseNet121", "DenseNet169", "DenseNet201")),
    ("nasnet", ("NASNetMobile", "NASNetLarge")),
    ("efficientnet", tuple(f"EfficientNetB{i}" for i in range(8))),
    (
        "efficientnet_v2",
        tuple(
            f"EfficientNetV2{size}"
            for size in ("B0", "B1", "B2", "B3", "S", "M", "L")
        ),
    ),
    (
        "convnext",
        tuple(
            f"ConvNeXt{size}"
            for size in ("Tiny", "Small", "Base", "Large", "XLarge")
        ),
    ),
)
_NAMES = {name: module for module, row in _MODULES for name in row}
_LARGEST = (
    "NASNetLarge",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2L",
    "ConvNeXtXLarge",
)


def _load(name, weights=None):
    return backbones.load(
        f"applications:{name}",
        weights=weights,
        image_size=_SMALLEST.get(name, 32),
    )


def _preprocess_input(name, pixels):
    module = importlib.import_module(f"keras.applications.{_NAMES[name]}")
    return module.preprocess_input(pixels.copy())


def _pixels(size, count=2):
    shape = (count, *size, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def test_every_network_of_keras_has_a_row():
    constructors = {
        name
        for name, value in vars(keras.applications).items()
        if inspect.isfunction(value)
    }
    assert set(backbones.names("applications")) == constructors == set(_NAMES)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in _LARGEST else ())
        for name in _NAMES
    ],
)
def test_network_keeps_the_promises_of_a_backbone(name):
    backbone = _load(name)
    _check_blocks(backbone, most_tensors=2 if "NASNet" in name else 1)
    _check_normalisation(backbone, name)
    _check_unfreezing(backbone)


def _check_blocks(backbone, most_tensors):
    """Every block begins where few tensors cross, and none feeds back."""
    calls = trace(backbone.model).calls
    names = [block.name for block in backbone.blocks]
    assert len(set(names)) == len(names) >= 5
    for k in range(1, len(names)):
        upper = {n for block in backbone.blocks[k:] for n in block.layers}
        lower = {n for block in backbone.blocks[:k] for n in block.layers}
        above, crossing = set(), set()
        for call in calls:
            fed = any(id(tensor) in above for tensor in call.inputs)
            if call.layer.name not in upper and not fed:
                continue
            assert call.layer.name not in lower, (names[k], call.layer.name)
            crossing |= {id(x) for x in call.inputs if id(x) not in above}
            above |= {id(tensor) for tensor in call.outputs}
        assert 1 <= len(crossing) <= most_tensors, names[k]


def _check_normalisation(backbone, name):
    """What reaches the network is what Keras' preprocess_input gives."""
    assert backbone.model.input.name == "image"
    first, *rest = layers_of(backbone.model)
    if first == "normalisation":
        first = rest[0]
    reached = backbone.model.get_layer(first).input
    front = keras.Model(backbone.model.input, reached)
    pixels = _pixels(backbone.image_size)
    np.testing.assert_allclose(
        front(pixels), _preprocess_input(name, pixels), rtol=1e-5, atol=1e-4
    )
    inside = (keras.layers.Rescaling, keras.layers.Normalization)
    lowest = [
        backbone.model.get_layer(n) for n in backbone.blocks[0].layers[:2]
    ]
    assert any(isinstance(layer, inside) for layer in lowest)


def _check_unfreezing(backbone):
    model = TransferModel(backbone, 3)
    of_layer = {
        layer.name: {id(v) for v in getattr(layer, "trainable_variables", ())}
        for layer in model.layers
    }
    for k in range(len(backbone.blocks) + 1):
        model.unfreeze(k, batch_norm="train")
        expected = set().union(
            *(
                of_layer[name]
                for block in model.blocks[len(backbone.blocks) - k :]
                for name in block.layers
            )
        )
        assert {id(v) for v in model.trainable_variables} == expected


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("VGG16", [f"block{i}" for i in range(1, 6)]),
        ("ResNet50", ["stem", "conv2", "conv3", "conv4", "conv5"]),
        (
            "EfficientNetB0",
            ["stem", *(f"block{i}" for i in range(1, 8)), "top"],
        ),
        ("InceptionV3", ["stem", *(f"mixed{i}" for i in range(11))]),
        ("Xception", [f"block{i}" for i in range(1, 15)]),
    ],
)
def test_blocks_have_names_that_people_say(name, blocks):
    assert [block.name for block in _load(name).blocks] == blocks


@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2", "DenseNet121"])
def test_whole_network_equals_that_of_keras(name):
    backbone = _load(name)
    plain = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    plain.set_weights(backbone.model.get_weights())
    pixels = _pixels((32, 32))
    expected = plain.predict(_preprocess_input(name, pixels), verbose=0)
    actual = backbone.model.predict(pixels, verbose=0)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "ResNet50",
        "InceptionResNetV2",
        "MobileNetV3Small",
        "NASNetMobile",
        "EfficientNetB0",
        "ConvNeXtTiny",
    ],
)
def test_transfer_model_survives_a_file(name, tmp_path):
    model = TransferModel(_load(name), 3)
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path)
    pixels = _pixels(model.preprocess.image_size)
    np.testing.assert_array_equal(
        again(pixels, training=False), model(pixels, training=False)
    )
    assert again.blocks == model.blocks


def test_weights_from_a_file_give_the_same_network(tmp_path):
    first = _load("MobileNetV2")
    path = str(tmp_path / "mine.weights.h5")
    first.model.save_weights(path)
    second = _load("MobileNetV2", weights=path)
    assert second.weights == path
    pixels = _pixels((32, 32))
    np.testing.assert_array_equal(
        second.model.predict(pixels, verbose=0),
        first.model.predict(pixels, verbose=0),
    )


def test_weights_of_another_network_are_refused(tmp_path):
    path = str(tmp_path / "mine.weights.h5")
    _load("MobileNetV2").model.save_weights(path)
    with pytest.raises(ValueError, match="do not fit applications:MobileNet "):
        _load("MobileNet", weights=path)


def test_weights_of_a_smaller_network_do_not_leave_layers_random(tmp_path):
    # Keras would load them with a warning.
    path = str(tmp_path / "mine.weights.h5")
    _load("VGG16").model.save_weights(path)
    with pytest.raises(ValueError, match="do not fit applications:VGG19"):
        _load("VGG19", weights=path)


def test_weights_of_keras_own_network_fit(tmp_path):
    plain = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    path = str(tmp_path / "plain.weights.h5")
    plain.save_weights(path)
    pixels = _pixels((32, 32))
    np.testing.assert_allclose(
        _load("MobileNetV2", weights=path).model(pixels, training=False),
        plain(_preprocess_input("MobileNetV2", pixels), training=False),
        rtol=1e-4,
        atol=1e-5,
    )


def test_missing_weights_file_is_named():
    with pytest.raises(ValueError, match=r"does not exist: 'no/such\.h5'"):
        _load("MobileNet", weights="no/such.h5")


def test_fine_tuned_efficientnet_scales_its_input_as_imagenets(
    monkeypatch, tmp_path
):
    # Keras builds EfficientNet with one more scaling layer where
    # weights="imagenet", and only there.
    random = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    random.save_weights(tmp_path / "imagenet.weights.h5")
    monkeypatch.setattr(
        "keras.src.utils.file_utils.get_file",
        lambda *args, **kwargs: str(tmp_path / "imagenet.weights.h5"),
    )
    pretrained = _load("EfficientNetB0", weights="imagenet")
    assert pretrained.weights == "imagenet"
    path = str(tmp_path / "tuned.weights.h5")
    pretrained.model.save_weights(path)
    tuned = _load("EfficientNetB0", weights=path)
    pixels = _pixels((32, 32))
    np.testing.assert_allclose(
        tuned.model.predict(pixels, verbose=0),
        pretrained.model.predict(pixels, verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )
    assert len(tuned.model.layers) == len(random.layers) + 1


@pytest.mark.parametrize(
    "name",
    [
        "VGG16",
        "ResNet50V2",
        "InceptionV3",
        "InceptionResNetV2",
        "Xception",
        "MobileNet",
        "MobileNetV2",
        "MobileNetV3Large",
        "DenseNet121",
        "NASNetMobile",
        "NASNetLarge",
        "EfficientNetB0",
        "EfficientNetV2B0",
        "ConvNeXtTiny",
    ],
)
@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
def test_wanted_weights_file_is_the_one_keras_asks_for(name, monkeypatch):
    asked = []

    def get_file(fname, origin, **kwargs):
        asked.append(fname)
        raise Exception(f"URL fetch failure on {origin}: None -- no network")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(UnavailableError) as caught:
        _load(name, weights="imagenet")
    assert f"as {asked[0]}," in str(caught.value)
    assert "~/.keras/models" in str(caught.value)


def test_without_network_the_error_comes_within_seconds(monkeypatch, tmp_path):
    def no_network(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(
        "keras.src.backend.config.keras_home", lambda: str(tmp_path)
    )
    start = time.monotonic()
    with pytest.raises(UnavailableError, match=r"mobilenet_v2\S+no_top\.h5"):
        backbones.load("applications:MobileNetV2")
    assert time.monotonic() - start < 10


def test_too_small_pictures_are_refused():
    with pytest.raises(ValueError, match=r"InceptionV3 must be at least 75"):
        backbones.load("applications:InceptionV3", weights=None, image_size=74)


def test_default_size_is_what_the_weights_were_trained_for():
    backbone = backbones.load("applications:MobileNet", weights=None)
    assert backbone.image_size == (224, 224)


@pytest.mark.parametrize(
    ("source", "guess"),
    [
        ("applications:resnet50", "'ResNet50'"),
        ("application:ResNet50", "'applications'"),
        ("ResNet50", "'applications:ResNet50'"),
        ("demo:digits_0-4", "'digits_0_4'"),
        ("cv:ResNet18v2", "'ResNet18V2'"),
        ("hub:bert_base_en_uncase", "'bert_base_en_uncased'"),
    ],
)
def test_unknown_names_offer_the_nearest(source, guess):
    with pytest.raises(ValueError, match=f"Did you mean {guess}"):
        backbones.load(source)


def test_arguments_of_other_sources_are_refused():
    with pytest.raises(ValueError, match="`cut` is not for applications:VGG16"):
        backbones.load("applications:VGG16", weights=None, cut="block4_pool")
