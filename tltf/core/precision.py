"""Precisions by name: what a network computes in, its weights in float32."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from tltf.core.graph import sublayers
from tltf.errors import nearest

# Precision to Keras' policy. Under the mixed ones weights stay float32.
_POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
_NAMES = ("auto", *_POLICIES)
# Compute capability from which a GPU multiplies matrices faster in it.
_CAPABILITIES = {"bfloat16": (8, 0), "float16": (7, 0)}
# What brings pixels to the range a network was trained with. Differences of
# pixels from a mean lose their last digits in eight bits.
_NORMALISATIONS = (keras.layers.Normalization, keras.layers.Rescaling)


def resolve(precision: str | None) -> keras.DTypePolicy:
    """Returns the Keras policy of a precision.

    Args:
        precision: `"float32"`, `"bfloat16"`, `"float16"`, or `"auto"` (None
            is the same): Keras' global policy if that is not float32, for
            somebody set it; else what the visible devices are fast in. Those
            are bfloat16 on TPUs and on GPUs of compute capability 8.0,
            float16 on GPUs of 7.0, and float32 on CPUs: there bfloat16 may be
            faster too, but has to be asked for: it changes the third digit.

    Raises:
        ValueError: There is no such precision.
    """
    if precision is None or precision == "auto":
        ours = keras.config.dtype_policy()
        if ours.name != "float32":
            return ours
        precision = _of_devices()
    is_name = isinstance(precision, str)
    if not is_name or precision not in _POLICIES:
        raise ValueError(
            f"`precision` must be one of {_NAMES}. Received: {precision!r}."
            f"{nearest(precision, _NAMES) if is_name else ''}"
        )
    return keras.DTypePolicy(_POLICIES[precision])


@contextlib.contextmanager
def policy(precision: str | None) -> Iterator[keras.DTypePolicy]:
    """Makes layers compute in a precision while they are built.

    Afterwards Keras' global policy is what it was, also after an error.

    Args:
        precision: As for `resolve`.

    Example:
    >>> with policy("bfloat16"):
    ...     layer = keras.layers.Dense(3)
    >>> layer.compute_dtype, layer.variable_dtype
    ('bfloat16', 'float32')
    """
    before = keras.config.dtype_policy()
    chosen = resolve(precision)
    keras.config.set_dtype_policy(chosen)
    try:
        yield chosen
    finally:
        keras.config.set_dtype_policy(before)


def precision_of(model: keras.Model) -> str:
    """Names what a model computes in, whatever the global policy is.

    Args:
        model: Where a part is float16 or bfloat16, that is its precision.
    """
    found = {
        inner.compute_dtype
        for layer in model.layers
        for inner in sublayers(layer)
        if not isinstance(inner, keras.layers.InputLayer)
    }
    halves = ("float16", "bfloat16", "float64")
    return next((name for name in halves if name in found), "float32")


def model_policy(model: keras.Model) -> keras.DTypePolicy:
    """Returns the policy that a model as a whole should have.

    Keras' `compile` looks there to see whether a loss must be scaled.
    """
    precision = precision_of(model)
    return keras.DTypePolicy(_POLICIES.get(precision, precision))


def check_precision(
    model: keras.Model, precision: str | None, name: str
) -> None:
    """Says so if a model does not compute in what was asked for.

    Args:
        model: What was built, or given.
        precision: As for `resolve`; `"auto"` and None ask for nothing.
        name: How the user calls the model.

    Raises:
        ValueError: It does not.
    """
    wanted = resolve(precision).name
    found = precision_of(model)
    if precision in (None, "auto", found):
        return
    raise ValueError(
        f"`precision` of {name} is {found} and cannot be changed any more."
        f" Build it under keras.config.set_dtype_policy({wanted!r}), or leave"
        f" `precision` out. Received: {precision!r}"
    )


def in_precision(model: keras.Model, precision: str | None) -> keras.Model:
    """Returns a model in a precision, weights and layers' names kept.

    Layers that bring pixels to a range stay float32.

    Args:
        model: A functional model. Where it is in that precision already, it
            is returned as it is; else a copy of it.
        precision: As for `resolve`; `"auto"` and None change nothing.
    """
    if precision in (None, "auto", precision_of(model)):
        return model
    before, after = model_policy(model), resolve(precision)
    copies = []

    def copy(layer):
        config = layer.get_config()
        if not isinstance(layer, (keras.layers.InputLayer, *_NORMALISATIONS)):
            config = _with_policy(config, before, after)
        copies.append((layer, type(layer).from_config(config)))
        return copies[-1][1]

    made = keras.models.clone_model(model, clone_function=copy)
    for layer, new in copies:
        if getattr(layer, "weights", None):
            new.set_weights(layer.get_weights())
    return made


def _of_devices() -> str:
    """What the visible accelerators are fast in, the slowest of several."""
    if tf.config.get_visible_devices("TPU"):
        return "bfloat16"
    details = map(
        tf.config.experimental.get_device_details,
        tf.config.get_visible_devices("GPU"),
    )
    # Other makers' GPUs tell no capability.
    found = [detail.get("compute_capability") or (0, 0) for detail in details]
    for name, needed in _CAPABILITIES.items():
        if found and min(found) >= needed:
            return name
    return "float32"


def _with_policy(config, before: keras.DTypePolicy, after: keras.DTypePolicy):
    """Replaces a policy in a layer's configuration, at any depth."""
    if isinstance(config, (list, tuple)):
        return [_with_policy(item, before, after) for item in config]
    if not isinstance(config, dict):
        return config
    if config == keras.dtype_policies.serialize(before):
        return keras.dtype_policies.serialize(after)
    return {
        name: _with_policy(item, before, after) for name, item in config.items()
    }
