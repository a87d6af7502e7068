"""The new layers on top of a backbone."""

from collections.abc import Callable, Collection, Sequence

import keras

from tltf.core.backbone import Block
from tltf.core.labels import Labels
from tltf.errors import nearest

_HEADS = ("linear", "mlp", "concat_pool")
# float32 whatever the policy: half precision loses small probabilities, and a
# head costs next to nothing.
_DTYPE = "float32"


def build_head(
    features: keras.KerasTensor,
    labels: Labels,
    *,
    head: str,
    hidden_units: Sequence[int],
    dropout: float,
    taken: Collection[str],
) -> tuple[keras.KerasTensor, Block]:
    """Puts the new layers, all of them float32, on a backbone's output.

    Args:
        features: `[batch, channels]`, `[batch, tokens, channels]` or
            `[batch, height, width, channels]`.
        labels: Say how many units the last layer has, and its activation.
        head: `"linear"`, `"mlp"` or `"concat_pool"`.
        hidden_units: Sizes of the hidden Dense layers of the last two.
        dropout: Share of features dropped before each Dense layer.
        taken: Names of the backbone's layers.

    Returns:
        The output tensor and the head's block.

    Raises:
        ValueError: There is no such head, or it does not fit the features.
    """
    if head not in _HEADS:
        raise ValueError(
            f"`head` must be one of {_HEADS}. Received: {head!r}."
            f"{nearest(head, _HEADS)}"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must be in [0, 1). Received: {dropout}")
    made = []

    def add(layer, name, *arguments):
        made.append(name)
        return layer(*arguments, name=name, dtype=_DTYPE)

    x = _pool(features, head, add)
    x = _hidden(x, () if head == "linear" else hidden_units, dropout, add)
    if dropout:
        x = add(keras.layers.Dropout, "head_dropout", dropout)(x)
    units, activation = labels.units, labels.activation
    x = add(keras.layers.Dense, "predictions", units, activation)(x)
    clash = set(taken) & set(made)
    if clash:
        raise ValueError(
            f"The backbone has layers that are named as the head's: {clash}."
            " Is it a backbone without its top?"
        )
    return x, Block("head", tuple(made))


def _pool(features, head: str, add: Callable):
    """Makes one vector an example of a feature map or a sequence."""
    rank = len(features.shape)
    if rank == 2:
        if head == "concat_pool":
            raise ValueError(
                "head='concat_pool' needs a feature map or a sequence, but"
                " this backbone gives one vector an example; use 'mlp'."
            )
        return features
    if rank not in (3, 4):
        raise ValueError(
            "A backbone must give [batch, channels], [batch, tokens,"
            " channels] or [batch, height, width, channels]."
            f" Received: {features.shape}"
        )
    suffix = "1D" if rank == 3 else "2D"
    average = getattr(keras.layers, f"GlobalAveragePooling{suffix}")
    maximum = getattr(keras.layers, f"GlobalMaxPooling{suffix}")
    pooled = add(average, "head_average_pool")(features)
    if head != "concat_pool":
        return pooled
    highest = add(maximum, "head_max_pool")(features)
    return add(keras.layers.Concatenate, "head_concat")([pooled, highest])


def _hidden(x, hidden_units: Sequence[int], dropout: float, add: Callable):
    """Adds the hidden Dense layers."""
    for i, units in enumerate(hidden_units):
        if dropout:
            x = add(keras.layers.Dropout, f"head_dropout_{i}", dropout)(x)
        x = add(keras.layers.Dense, f"head_dense_{i}", units, "relu")(x)
    return x
