"""Small networks whose cuts differ in kind, with data that they take."""

import keras
import keras_hub
import numpy as np

from tests.conftest import CLASSES, tiny_backbone, tiny_pictures
from tltf import backbones
from tltf.core.backbone import Backbone, blocks_by_start
from tltf.core.model import TransferModel
from tltf.core.preprocess import ImagePreprocess

_TINY = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8}


@keras.saving.register_keras_serializable("tests")
class DropPath(keras.layers.Layer):
    """Drops a branch for a half of the examples, in training alone."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x, training=False):
        if not training:
            return x
        kept = keras.random.uniform((keras.ops.shape(x)[0], 1), seed=self.seed)
        return x * keras.ops.cast(kept < 0.5, x.dtype)[..., None, None] * 2


def batch_norm(folder):
    """Convolutions with batch normalisation and dropout."""
    return tiny_backbone(), tiny_pictures(30)


def drop_path(folder):
    """Residual, stochastic depth; the last block begins within a branch."""
    image = keras.Input((12, 12, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="stem_scale")(image)
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem_conv")(x)
    for name in "abc":
        y = keras.layers.Conv2D(4, 3, padding="same", name=f"{name}_conv")(x)
        y = keras.layers.Conv2D(4, 1, name=f"{name}_inner", activation="relu")(
            y
        )
        y = DropPath(name=f"{name}_drop")(y)
        x = keras.layers.Add(name=f"{name}_add")([x, y])
    blocks = {"a": "a_", "b": "b_", "c": "c_inner"}
    model = keras.Model(image, x)
    backbone = Backbone(
        model,
        blocks_by_start(model, blocks),
        "test:residual",
        None,
        ImagePreprocess((12, 12)),
    )
    return backbone, tiny_pictures(30)


def vgg16(folder):
    """Wide features and no normalisation."""
    backbone = backbones.load("applications:VGG16", weights=None, image_size=32)
    return backbone, tiny_pictures(12, size=32)


def vit(folder):
    """Attention, unrolled from one layer of KerasHub's."""
    network = keras_hub.models.ViTBackbone(
        **_TINY, patch_size=8, mlp_dim=16, image_shape=(16, 16, 3)
    )
    network.save_to_preset(f"{folder}/vit")
    converter = keras_hub.layers.ViTImageConverter(image_size=(16, 16))
    converter.save_to_preset(f"{folder}/vit")
    backbone = backbones.load(f"hub:{folder}/vit", image_size=16)
    return backbone, tiny_pictures(14, size=16)


def bert(folder):
    """Three inputs, of which the padding mask is read by every block."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"]
    network = keras_hub.models.BertBackbone(
        **_TINY,
        intermediate_dim=16,
        vocabulary_size=8,
        max_sequence_length=16,
    )
    network.save_to_preset(f"{folder}/bert")
    tokenizer = keras_hub.models.BertTokenizer(vocabulary=words)
    tokenizer.save_to_preset(f"{folder}/bert")
    backbone = backbones.load(f"hub:{folder}/bert", sequence_length=6)
    labels = np.arange(20) % 3
    random = np.random.default_rng(0)
    lengths = random.integers(2, 7, 20)
    is_word = np.arange(6) < lengths[:, None]
    tokens = np.where(is_word, labels[:, None] + 5, 0)
    tokens[:, 0] = 2
    inputs = {
        "token_ids": tokens.astype("int32"),
        "segment_ids": np.zeros((20, 6), "int32"),
        "padding_mask": is_word.astype("int32"),
    }
    return backbone, (inputs, labels)


def masked(folder):
    """An embedding whose mask crosses the cut below the LSTM."""
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(9, 4, mask_zero=True, name="embed")(tokens)
    x = keras.layers.LSTM(4, return_sequences=True, name="lstm")(x)
    model = keras.Model(tokens, x)
    blocks = blocks_by_start(model, {"lstm": "lstm"}, first="embeddings")
    backbone = Backbone(model, blocks, "test:masked")
    random = np.random.default_rng(0)
    labels = np.arange(20) % 3
    tokens = random.integers(1, 9, (20, 6)) * (random.random((20, 6)) < 0.7)
    tokens[:, 0] = labels + 1
    return backbone, (tokens.astype("int32"), labels)


def make(network, folder) -> tuple[TransferModel, tuple]:
    """A model on one of these, always the same, and its data."""
    keras.utils.set_random_seed(0)
    backbone, data = network(folder)
    return TransferModel(backbone, CLASSES), data


def twin(model: TransferModel) -> TransferModel:
    """The same model again, with weights of its own."""
    other = TransferModel.from_config(model.get_config())
    other.set_weights(model.get_weights())
    return other
