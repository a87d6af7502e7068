"""The networks that are measured, one row each, free of any framework.

The last block is everything that runs at the smallest resolution (of VGG16,
its last five layers; of BERT, the last transformer layer and the pooler).
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Pictures:
    """A network of `keras.applications`.

    Args:
        network: Its constructor.
        module: Where its `preprocess_input` is.
        tail: The last block, as tltf names it.
        prefixes: What its layers' names begin with in Keras Applications.
        hub_prefixes: And in KerasHub.
    """

    network: str
    module: str
    tail: str
    prefixes: tuple[str, ...]
    hub_prefixes: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Texts:
    """A BERT encoder.

    Args:
        network: Its name.
        layers: How many.
        heads: Of attention.
        width: Of a token.
        inner_width: Of the feed-forward layers.
    """

    network: str
    layers: int
    heads: int
    width: int
    inner_width: int

    vocabulary = 30522
    positions = 512

    @property
    def tail(self) -> str:
        """The last block, as tltf names it; the pooler lies above it."""
        return f"layer_{self.layers - 1}"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What its layers' names begin with in KerasHub."""
        return (f"transformer_layer_{self.layers - 1}", "pooled_dense")


CASES = {
    "applications:ResNet50": Pictures(
        "ResNet50", "resnet50", "conv5", ("conv5_",), ("stack3_",)
    ),
    "applications:VGG16": Pictures(
        "VGG16", "vgg16", "block5", ("block5_",), ("block5_",)
    ),
    "applications:EfficientNetV2B0": Pictures(
        "EfficientNetV2B0",
        "efficientnet_v2",
        "block6",
        ("block6", "top_"),
        ("block6", "top_"),
    ),
    "hub:bert_base_en_uncased": Texts("BERT-base", 12, 12, 768, 3072),
    # For trying the program out.
    "hub:bert_tiny_en_uncased": Texts("BERT-tiny", 2, 2, 128, 512),
}
