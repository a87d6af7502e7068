import keras
import numpy as np
import pytest

from tests.conftest import tiny_backbone
from tltf import backbones
from tltf.core.backbone import layers_of
from tltf.core.model import TransferModel


def _network(names=("a_conv", "b_conv"), head=False):
    image = keras.Input((12, 12, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    for name in names:
        x = keras.layers.Conv2D(4, 3, padding="same", name=name)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.ReLU()(x)
    if head:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        x = keras.layers.Dense(3, name="logits")(x)
    return keras.Model(image, x)


def _pixels(seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (2, 12, 12, 3))


def test_own_model_falls_into_blocks_that_learn():
    model = _network()
    backbone = backbones.load(model)
    assert [block.name for block in backbone.blocks] == ["block1", "block2"]
    covered = [n for block in backbone.blocks for n in block.layers]
    assert covered == layers_of(model)
    assert "a_conv" in backbone.blocks[0].layers
    assert backbone.blocks[1].layers[0] == "b_conv"
    assert backbone.image_size == (12, 12)


def test_names_that_tell_blocks_are_used():
    model = _network(["entry1_a", "entry1_b", "middle2_a"])
    names = [block.name for block in backbones.load(model).blocks]
    assert names == ["entry1", "middle2"]


def test_residual_branches_are_not_cut():
    image = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(4, 1, name="first")(image)
    for i in range(2):
        y = keras.layers.Conv2D(4, 1, name=f"left{i}")(x)
        y = keras.layers.Conv2D(4, 1, name=f"right{i}")(y)
        x = keras.layers.Add(name=f"add{i}")([x, y])
    blocks = backbones.load(keras.Model(image, x)).blocks
    assert [block.layers for block in blocks] == [
        ("first",),
        ("left0", "right0", "add0"),
        ("left1", "right1", "add1"),
    ]


def test_own_blocks_begin_where_the_user_says():
    backbone = backbones.load(
        _network(), blocks={"low": "a_", "high": "b_conv"}
    )
    assert [block.name for block in backbone.blocks] == ["low", "high"]
    assert backbone.blocks[1].layers[0] == "b_conv"


def test_sequential_model_is_a_backbone():
    layers = [keras.Input((12, 12, 3)), keras.layers.Conv2D(4, 3)]
    backbone = backbones.load(keras.Sequential(layers))
    assert TransferModel(backbone, 3).output.shape == (None, 3)


def test_what_is_no_backbone_is_refused():
    class Subclass(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match="functional"):
        backbones.load(Subclass())
    with pytest.raises(TypeError, match="Received: 3"):
        backbones.load(3)
    image = keras.Input((12, 12, 3))
    with pytest.raises(ValueError, match="has 2"):
        backbones.load(keras.Model(image, [image, keras.layers.ReLU()(image)]))
    with pytest.raises(ValueError, match="`weights` of a model of your own"):
        backbones.load(_network(), weights=None)


@pytest.mark.parametrize("top", ["softmax", "sigmoid"])
def test_a_classifier_with_its_top_is_no_backbone(top):
    x = keras.Input((12,))
    model = keras.Model(x, keras.layers.Dense(4, top, name="fc")(x))
    with pytest.raises(ValueError, match=f"'fc' with a {top}"):
        backbones.load(model)


def test_weights_of_an_own_model_are_not_called_random():
    assert backbones.load(_network()).weights == "own"


def test_pictures_of_open_size_need_a_size():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    with pytest.raises(ValueError, match="give `image_size`"):
        backbones.load(model)
    assert backbones.load(model, image_size=16).image_size == (16, 16)


def test_head_of_a_saved_classifier_is_cut_off(tmp_path):
    model = _network(head=True)
    path = tmp_path / "model.keras"
    model.save(path)
    backbone = backbones.load(f"saved:{path}")
    assert backbone.weights == str(path)
    assert backbone.model.output.shape == (None, 12, 12, 4)
    below = keras.Model(model.input, model.get_layer("pool").input)
    np.testing.assert_array_equal(backbone.model(_pixels()), below(_pixels()))


def test_cut_names_the_last_layer_to_keep(tmp_path):
    path = tmp_path / "model.keras"
    _network(head=True).save(path)
    backbone = backbones.load(f"saved:{path}", cut="pool")
    assert backbone.model.output.shape == (None, 4)
    with pytest.raises(ValueError, match="Did you mean 'pool'"):
        backbones.load(f"saved:{path}", cut="poll")


def test_transfer_model_in_a_file_keeps_its_blocks(tmp_path):
    backbone = tiny_backbone()
    path = tmp_path / "model.keras"
    TransferModel(backbone, 3, head="mlp").save(path)
    again = backbones.load(f"saved:{path}")
    assert again.blocks == backbone.blocks
    assert again.preprocess == backbone.preprocess
    np.testing.assert_array_equal(
        again.model(_pixels()), backbone.model(_pixels())
    )
    assert TransferModel(again, 5).output.shape == (None, 5)


def test_saved_model_can_start_from_random_weights(tmp_path):
    backbone = tiny_backbone()
    path = tmp_path / "model.keras"
    TransferModel(backbone, 3).save(path)
    random = backbones.load(f"saved:{path}", weights=None)
    assert random.weights is None
    assert random.blocks == backbone.blocks
    difference = random.model(_pixels()) - backbone.model(_pixels())
    assert np.abs(np.array(difference)).max() > 1e-3


def test_files_that_are_no_models_are_refused(tmp_path):
    path = tmp_path / "model.keras"
    with pytest.raises(ValueError, match="does not exist"):
        backbones.load(f"saved:{path}")
    path.write_text("no model")
    with pytest.raises(ValueError, match="cannot be loaded as a Keras model"):
        backbones.load(f"saved:{path}")


def test_code_in_a_file_is_refused(tmp_path):
    image = keras.Input((12, 12, 3))
    path = tmp_path / "model.keras"
    keras.Model(image, keras.layers.Lambda(lambda x: x)(image)).save(path)
    with pytest.raises(ValueError, match="Lambda"):
        backbones.load(f"saved:{path}")


@pytest.mark.parametrize("name", backbones.names("demo"))
def test_demo_network_has_its_blocks(name):
    backbone = backbones.load(f"demo:{name}")
    assert backbone.weights == f"demo:{name}"
    names = [block.name for block in backbone.blocks]
    assert names == ["stem", "block1", "block2", "block3"]
    assert backbone.image_size == (40, 40)
