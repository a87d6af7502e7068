"""Backbone and head as one flat Keras model that knows its blocks."""

import dataclasses
from collections.abc import Sequence

import keras

from tltf.core.backbone import Backbone, Block
from tltf.core.graph import batch_norms, sublayers
from tltf.core.head import build_head
from tltf.core.labels import Labels
from tltf.core.precision import model_policy, precision_of
from tltf.core.repair import repair
from tltf.core.split import Split
from tltf.errors import nearest

BATCH_NORM_POLICIES = ("frozen", "affine", "train")

_FOR_KIND = {
    "image": "applications:ResNet50",
    "text": "hub:bert_base_en_uncased",
}


@keras.saving.register_keras_serializable("tltf")
class TransferModel(keras.Model):
    """A pretrained backbone with a new head, as one flat functional model.

    It is a `keras.Model`: compile and fit it yourself, or give it to
    `tltf.fit`. It shares the backbone's layers; load the backbone again for
    an independent copy.

    Args:
        backbone: A `Backbone`.
        classes: How many classes, their names, or `Labels`.
        head: `"linear"` (average pooling, one Dense), `"mlp"` (average
            pooling, hidden Dense layers with dropout) or `"concat_pool"`
            (average and maximum pooling joined, then as `"mlp"`).
        hidden_units: Sizes of the hidden Dense layers of the last two.
        dropout: Share of features dropped before each Dense layer.
        label_kind: `"auto"` (two classes: one sigmoid unit; more: softmax),
            `"multi_label"` or `"regression"`.

    Input: the pixels or token arrays that `preprocess` makes. Output:
    `[batch, units]`, probabilities (or values, for regression). The head is
    float32 whatever the precision of the backbone.

    Example:
    >>> backbone = tltf.backbones.load("applications:VGG16", weights=None)
    >>> model = tltf.TransferModel(backbone, ["daisy", "rose", "tulip"])
    >>> model.unfreeze(1)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int | Sequence[str] | Labels,
        *,
        head: str = "linear",
        hidden_units: Sequence[int] = (512,),
        dropout: float = 0.0,
        label_kind: str = "auto",
    ):
        labels = Labels.of(classes, label_kind)
        outputs, head_block = build_head(
            backbone.model.output,
            labels,
            head=head,
            hidden_units=hidden_units,
            dropout=dropout,
            taken={layer.name for layer in backbone.model.layers},
        )
        self._assemble(
            keras.Model(backbone.model.input, outputs),
            blocks=(*backbone.blocks, head_block),
            labels=labels,
            preprocess=backbone.preprocess,
            origin={"backbone": backbone.name, "weights": backbone.weights},
        )

    def _assemble(self, graph, *, blocks, labels, preprocess, origin):
        super().__init__(graph.input, graph.output, name="transfer_model")
        repair(self.layers, origin["backbone"])
        # Keras scales the loss where the model's own policy says float16.
        self.dtype_policy = model_policy(self)
        self.blocks = tuple(blocks)
        self.labels = labels
        self.preprocess = preprocess
        self.origin = origin

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Its own metrics; while `tltf.fit` runs, those of the stage.

        Keras' callbacks look here to learn whether more is better.
        """
        own, trained_as = super().metrics, self.__dict__.get("_trained_as")
        return own if own or trained_as is None else trained_as.metrics

    def train_as(self, objective: keras.Model | None) -> None:
        """Sets the model that trains its layers, None when that is over."""
        # Past Keras' tracking: it is no part of this model.
        object.__setattr__(self, "_trained_as", objective)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.labels.classes

    @property
    def precision(self) -> str:
        """What the backbone computes in: float32, bfloat16 or float16."""
        return precision_of(self)

    @property
    def backbone_blocks(self) -> tuple[Block, ...]:
        """The blocks below the head, input to output."""
        return self.blocks[:-1]

    @property
    def head(self) -> Block:
        """The block of the new layers on top."""
        return self.blocks[-1]

    def unfrozen(self, unfreeze: int | str | None) -> tuple[Block, ...]:
        """Returns the blocks that train where a stage unfreezes so far.

        Args:
            unfreeze: How many blocks from the top, the name of the lowest
                block that trains, `"all"`, or 0 or None for the head alone.

        Returns:
            Blocks from input to output, the head always last.

        Raises:
            ValueError: There is no such block.
        """
        blocks = self.backbone_blocks
        names = [block.name for block in blocks]
        if unfreeze == "all":
            return self.blocks
        if unfreeze in names:
            return self.blocks[names.index(unfreeze) :]
        if unfreeze is None:
            unfreeze = 0
        is_count = isinstance(unfreeze, int) and not isinstance(unfreeze, bool)
        if is_count and 0 <= unfreeze <= len(blocks):
            return self.blocks[len(blocks) - unfreeze :]
        guess = nearest(unfreeze, names) if isinstance(unfreeze, str) else ""
        raise ValueError(
            f"`unfreeze` must be 0..{len(blocks)}, 'all' or a block name"
            f" ({', '.join(names)}). Received: {unfreeze!r}.{guess}"
        )

    def unfreeze(
        self, blocks: int | str | None, batch_norm: str = "frozen"
    ) -> None:
        """Sets `trainable` layer by layer: these blocks train, no others.

        Compile afterwards: Keras fixes what trains when a step is traced.

        Args:
            blocks: As for `unfrozen`.
            batch_norm: `"frozen"` keeps the backbone's batch normalisation
                still, gamma and beta included; `"affine"` and `"train"` mark
                gamma and beta trainable. That statistics stay still under
                `"affine"` is up to the loop, see `tltf.fit`.
        """
        if batch_norm not in BATCH_NORM_POLICIES:
            raise ValueError(
                f"`batch_norm` must be one of {BATCH_NORM_POLICIES}."
                f" Received: {batch_norm!r}"
            )
        open_layers = {
            name for block in self.unfrozen(blocks) for name in block.layers
        }
        in_head = set(self.head.layers)
        for layer in self.layers:
            is_open = layer.name in open_layers
            for inner in sublayers(layer):
                inner.trainable = is_open
            if is_open and batch_norm == "frozen" and layer.name not in in_head:
                for norm in batch_norms(layer):
                    norm.trainable = False

    def freeze(self) -> None:
        """Freezes every block but the head."""
        self.unfreeze(0)

    def learnable(self) -> dict[str, tuple[keras.Variable, ...]]:
        """Returns what an optimizer can change, for each block by name.

        These are the trainable weights as if nothing were frozen: batch
        normalisation's gamma and beta are among them, its statistics are
        not. The order is that of the graph.
        """
        layers = {layer.name: layer for layer in self.layers}
        return {
            block.name: tuple(
                variable
                for name in block.layers
                if name in layers
                for variable in _learnable(layers[name])
            )
            for block in self.blocks
        }

    def get_config(self) -> dict:
        """Returns the graph and all that is known of it."""
        graph = keras.Model(self.input, self.output, name=self.name)
        return {
            "graph": keras.saving.serialize_keras_object(graph),
            "blocks": [dataclasses.asdict(block) for block in self.blocks],
            "labels": self.labels.get_config(),
            "preprocess": keras.saving.serialize_keras_object(self.preprocess),
            "origin": self.origin,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> "TransferModel":
        """Makes the model again from `get_config`, with new weights."""
        revive = keras.saving.deserialize_keras_object
        model = cls.__new__(cls)
        model._assemble(
            revive(config["graph"], custom_objects),
            blocks=[
                Block(block["name"], tuple(block["layers"]))
                for block in config["blocks"]
            ],
            labels=Labels(**config["labels"]),
            preprocess=revive(config["preprocess"]),
            origin=config["origin"],
        )
        return model


def check_kinds(model: TransferModel, split: Split) -> None:
    """Says so where texts meet a model of pictures, or the other way.

    Raises:
        ValueError: They do not go together.
    """
    names = {"image": "pictures", "text": "texts"}
    takes = getattr(model.preprocess, "kind", None)
    if takes and split.kind and takes != split.kind:
        raise ValueError(
            f"The data are {names[split.kind]}, but"
            f" {model.origin['backbone']} takes {names[takes]}. Choose a"
            f" backbone for {names[split.kind]}, such as"
            f" {_FOR_KIND[split.kind]}."
        )


def _learnable(layer):
    """The trainable weights of a layer as if it were not frozen."""
    if not isinstance(layer, keras.layers.Layer):
        return []
    flags = [(inner, inner.trainable) for inner in sublayers(layer)]
    of_variables = [(v, v.trainable) for v in layer.variables]
    for inner, _ in flags:
        inner.trainable = True
    found = list(layer.trainable_variables)
    # Setting a layer's flag sets those of all that is inside it: so the
    # outermost first, and the variables' own last.
    for thing, flag in flags + of_variables:
        thing.trainable = flag
    return found
