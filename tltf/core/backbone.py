"""A pretrained network without its top, and its ordered blocks."""

import dataclasses
import re

import keras

from tltf.core.precision import precision_of
from tltf.core.preprocess import Preprocess


@dataclasses.dataclass(frozen=True)
class Block:
    """A run of layers that are frozen and unfrozen together.

    Args:
        name: The name a user says, such as `conv5` or `layer_11`.
        layers: Names of the layers, in the order of the graph.
    """

    name: str
    layers: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Backbone:
    """A pretrained network without its top.

    Args:
        model: A flat functional `keras.Model` from the preprocessed input
            (images: raw pixels 0..255, normalisation is inside) to one
            tensor: `[batch, height, width, channels]`,
            `[batch, tokens, channels]` or `[batch, channels]`.
        blocks: The blocks from input to output; every layer of the model but
            its inputs is in exactly one.
        name: Where it came from, such as `applications:ResNet50`.
        weights: Where the weights came from: `imagenet`, a path, a preset,
            or None for random ones.
        preprocess: Turns raw files or texts into the model's input. None for
            a network whose input arrives ready made.
    """

    model: keras.Model
    blocks: tuple[Block, ...]
    name: str
    weights: str | None = None
    preprocess: Preprocess | None = None

    def __post_init__(self):
        inner = layers_of(self.model)
        covered = [name for block in self.blocks for name in block.layers]
        if sorted(covered) != sorted(inner):
            lost = sorted(set(inner) ^ set(covered))
            twice = sorted({n for n in covered if covered.count(n) > 1})
            raise ValueError(
                f"The blocks of {self.name} must hold every layer exactly"
                f" once. Not so: {(lost + twice)[:8]}"
            )

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the pictures it takes, if it takes pictures."""
        return getattr(self.preprocess, "image_size", None)

    @property
    def precision(self) -> str:
        """What it computes in: float32, bfloat16 or float16."""
        return precision_of(self.model)


def layers_of(model: keras.Model) -> list[str]:
    """Names the layers of a functional model, in order, without inputs."""
    return [
        layer.name
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    ]


def blocks_by_start(
    model: keras.Model, starts: dict[str, str], first: str = "stem"
) -> tuple[Block, ...]:
    """Makes blocks from the layers at which each begins.

    Args:
        model: A flat functional model.
        starts: Block name to a regular expression, in the order of the
            blocks; a block begins at the first layer, in the order of the
            graph, whose name it matches.
        first: Name of the block before the first of them. It is left out
            where it would hold nothing.

    Raises:
        ValueError: An expression matches no layer after the block before.
    """
    pending = list(starts.items())
    found = {first: []}
    current = first
    for name in layers_of(model):
        if pending and re.match(pending[0][1], name):
            current = pending.pop(0)[0]
            found[current] = []
        found[current].append(name)
    if pending:
        raise ValueError(
            f"No layer begins block {pending[0][0]!r}: nothing matches"
            f" {pending[0][1]!r} after block {current!r}."
        )
    return tuple(
        Block(name, tuple(layers)) for name, layers in found.items() if layers
    )
