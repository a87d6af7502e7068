"""One stage of training, as frozen data."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from tltf.core.model import BATCH_NORM_POLICIES
from tltf.core.schedule import SHAPES
from tltf.errors import nearest

SOLVERS = ("steps", "lbfgs", "auto")
_SPANS = ("stage", "recipe")


@dataclasses.dataclass(frozen=True)
class Stage:
    """What trains, for how long and how fast.

    Args:
        unfreeze: How many blocks from the top, the name of the lowest block
            that trains, `"all"`, or 0 for the head alone. The head always
            trains.
        epochs: How many, at most where `patience` is given.
        learning_rate: The peak, for the head and the topmost block.
        discriminative: Each block's rate is that of the block above it
            divided by this (ULMFiT: 2.6); the head and the topmost block
            share the peak. 1 for one rate.
        schedule: `"constant"`, `"cosine"`, `"slanted_triangular"` or
            `"one_cycle"`.
        warmup: Share of the steps over which the rate first rises from zero.
        span: `"stage"`, or `"recipe"` for one schedule over all stages in a
            row that say so; its position survives the change of stage.
        optimizer: A Keras optimizer's name (`"adam"`, `"sgd"` with momentum
            0.9, …) or an instance whose settings, all but its rate, are used.
        weight_decay: Decoupled decay, scaled by the rate, of kernels and
            embeddings; none on biases and norms.
        batch_norm: Of the backbone's batch normalisation in blocks that
            train: `"frozen"` (statistics, gamma and beta stay still),
            `"affine"` (gamma and beta train, statistics stay) or `"train"`.
        augment: `"none"`, `"light"`, `"strong"` or Keras layers of your own,
            on training batches only.
        views: Computes so many augmented views of each example once, and
            trains on one of them in each epoch, in turn; 0 augments anew in
            each epoch, which leaves no feature of the frozen part to be
            cached.
        solver: `"steps"` trains with the optimizer; `"lbfgs"` solves a head
            that is one Dense layer on frozen features to convergence, its
            regularisation chosen on the validation part; `"auto"` solves
            where it can. What is solved takes one epoch, and of the settings
            above uses `class_weights` and `views` alone.
        patience: Stops when the validation loss has not improved for so many
            epochs, and goes back to the best weights of the stage.
        class_weights: `"balanced"`, or a weight for each class name.
        name: For the log; default, what it unfreezes.

    Example:
    >>> Stage(unfreeze="conv5", epochs=3, learning_rate=1e-4)
    """

    unfreeze: int | str = 0
    epochs: int = 1
    learning_rate: float = 1e-3
    discriminative: float = 1.0
    schedule: str = "constant"
    warmup: float = 0.0
    span: str = "stage"
    optimizer: str | keras.optimizers.Optimizer = "adam"
    weight_decay: float = 0.0
    batch_norm: str = "frozen"
    augment: str | keras.layers.Layer | Sequence[keras.layers.Layer] = "none"
    views: int = 0
    solver: str = "steps"
    patience: int | None = None
    class_weights: str | Mapping[str, float] | None = None
    name: str = ""

    def __post_init__(self):
        self._require("epochs", _is_whole(self.epochs, 1), "1 or more")
        self._require(
            "learning_rate",
            _is_number(self.learning_rate) and self.learning_rate > 0,
            "a number above 0",
        )
        self._require(
            "discriminative",
            _is_number(self.discriminative) and self.discriminative >= 1,
            "1 or more (ULMFiT: 2.6)",
        )
        self._require(
            "warmup",
            _is_number(self.warmup) and 0 <= self.warmup < 1,
            "a share of the steps, in [0, 1)",
        )
        self._require(
            "weight_decay",
            _is_number(self.weight_decay) and self.weight_decay >= 0,
            "0 or more",
        )
        self._require(
            "patience",
            self.patience is None or _is_whole(self.patience, 1),
            "None, or 1 or more epochs",
        )
        self._require(
            "views",
            _is_whole(self.views, 0)
            and not (self.views and self.augment == "none"),
            "0, or 1 or more where there is an `augment`",
        )
        self._one_of("solver", SOLVERS)
        self._one_of("schedule", SHAPES)
        self._one_of("span", _SPANS)
        self._one_of("batch_norm", BATCH_NORM_POLICIES)
        weights = self.class_weights
        if isinstance(weights, str) and weights != "balanced":
            raise ValueError(
                "`class_weights` must be 'balanced', a weight for each class"
                f" name, or None. Received: {weights!r}"
            )
        if not self.name:
            part = "head" if self.unfreeze in (0, None) else self.unfreeze
            name = f"top {part}" if isinstance(part, int) else str(part)
            object.__setattr__(self, "name", name)

    def _require(self, argument, is_right, expected):
        if not is_right:
            raise ValueError(
                f"`{argument}` of a Stage must be {expected}."
                f" Received: {getattr(self, argument)!r}"
            )

    def _one_of(self, argument, known):
        value = getattr(self, argument)
        if value not in known:
            guess = nearest(value, known) if isinstance(value, str) else ""
            raise ValueError(
                f"`{argument}` of a Stage must be one of {list(known)}."
                f" Received: {value!r}.{guess}"
            )

    def to_dict(self) -> dict:
        """Returns plain data, objects by their Keras configuration."""
        plain = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        if not isinstance(self.optimizer, str):
            plain["optimizer"] = type(self.optimizer).__name__
        if not isinstance(self.augment, str):
            layers = self.augment
            layers = layers if isinstance(layers, Sequence) else [layers]
            plain["augment"] = [type(layer).__name__ for layer in layers]
        if isinstance(self.class_weights, Mapping):
            plain["class_weights"] = dict(self.class_weights)
        return plain


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value, least: int) -> bool:
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and value >= least
    )
