import keras
import numpy as np
import pytest

from tltf import backbones
from tltf.core.model import TransferModel

keras_cv = pytest.importorskip("keras_cv")


@pytest.mark.parametrize(
    ("name", "constructor", "preset"),
    [
        ("ResNet18V2", "ResNetV2Backbone", "resnet18_v2"),
        ("ResNet34", "ResNetBackbone", "resnet34"),
        ("ResNet50", "ResNetBackbone", "resnet50"),
    ],
)
def test_network_is_as_large_as_keras_cv_says(name, constructor, preset):
    backbone = backbones.load(f"cv:{name}", weights=None, image_size=64)
    presets = getattr(keras_cv.models, constructor).presets
    parameters = presets[preset]["metadata"]["params"]
    assert backbone.model.count_params() == parameters
    names = [block.name for block in backbone.blocks]
    assert names[1:] == ["stack_0", "stack_1", "stack_2", "stack_3"]


def test_dense_net_is_as_large_as_that_of_keras():
    backbone = backbones.load("cv:DenseNet121", weights=None, image_size=64)
    other = backbones.load(
        "applications:DenseNet121", weights=None, image_size=64
    )
    assert backbone.model.count_params() == other.model.count_params()


def test_transfer_model_survives_a_file_and_takes_raw_pixels(tmp_path):
    backbone = backbones.load("cv:ResNet18V2", weights=None, image_size=64)
    rescaling = backbone.model.layers[1]
    assert isinstance(rescaling, keras.layers.Rescaling)
    assert rescaling.scale == pytest.approx(1 / 255)
    model = TransferModel(backbone, 3)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3))
    np.testing.assert_array_equal(again(pixels), model(pixels))


def test_networks_without_pretrained_weights_say_so():
    with pytest.raises(ValueError, match="no pretrained weights for cv:"):
        backbones.load("cv:ResNet18V2")
