import keras
import numpy as np
import pytest

from tests.conftest import tiny_backbone
from tltf.core.backbone import Backbone, Block
from tltf.core.model import TransferModel
from tltf.core.precision import policy


def test_concat_pool_joins_average_and_maximum():
    model = TransferModel(tiny_backbone(), 3, head="concat_pool")
    features = np.random.default_rng(0).normal(size=(2, 12, 12, 12))
    pooled = keras.Model(
        model.get_layer("b3_drop").output, model.get_layer("head_concat").output
    )(features)
    expected = np.concatenate(
        [features.mean((1, 2)), features.max((1, 2))], axis=-1
    )
    np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("classes", "kind", "units", "activation"),
    [
        (2, "auto", 1, "sigmoid"),
        (3, "auto", 3, "softmax"),
        (3, "multi_label", 3, "sigmoid"),
        (["height"], "regression", 1, "linear"),
    ],
)
def test_last_layer_follows_from_the_labels(classes, kind, units, activation):
    model = TransferModel(tiny_backbone(), classes, label_kind=kind)
    top = model.get_layer("predictions")
    assert top.units == units
    assert top.activation.__name__ == activation


@pytest.mark.parametrize("head", ["linear", "mlp", "concat_pool"])
def test_every_layer_of_the_head_is_float32(head):
    with policy("bfloat16"):
        model = TransferModel(tiny_backbone(), 3, head=head, dropout=0.1)
    assert model.get_layer("b3_conv").compute_dtype == "bfloat16"
    for name in model.head.layers:
        assert model.get_layer(name).compute_dtype == "float32", name
    assert model.output.dtype == "float32"
    assert model(np.zeros((1, 12, 12, 3))).dtype == "float32"


def test_wrong_head_and_dropout_are_explained():
    with pytest.raises(ValueError, match="Did you mean 'linear'"):
        TransferModel(tiny_backbone(), 3, head="liner")
    with pytest.raises(ValueError, match="dropout"):
        TransferModel(tiny_backbone(), 3, dropout=1.0)


def test_layers_named_as_the_heads_are_explained():
    image = keras.Input((4,), name="image")
    top = keras.layers.Dense(3, name="predictions")
    model = keras.Model(image, top(image))
    backbone = Backbone(model, (Block("stem", ("predictions",)),), "mine")
    with pytest.raises(ValueError, match="without its top"):
        TransferModel(backbone, 3)
