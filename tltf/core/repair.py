"""Mends layers of KerasHub whose configuration cannot be read back."""

import inspect
from collections.abc import Iterable

import keras

# DeBERTa's layer is read back without its variables, which no `get_config`
# mends.
_NEVER_BUILT = ("RelativeEmbedding",)


def repair(layers: Iterable[keras.Operation], source: str) -> None:
    """Makes every layer give a configuration that it takes back.

    In KerasHub 0.32 some layers' `get_config` names arguments that their
    constructors do not have (ViT's patch embedding, MiT's blocks) or reads an
    attribute that is not there (Llama's decoder). Inside their own backbone
    nobody asks; in a flat graph every save does. Where that is so, the layer
    gets a `get_config` made from its constructor's arguments.

    Raises:
        ValueError: A layer's configuration cannot be told from its attributes
            either, so that a model of it could never be saved.
    """
    for layer in layers:
        is_hubs = type(layer).__module__.startswith("keras_hub.")
        if not is_hubs or _is_sound(layer):
            continue
        layer.get_config = _Mended(layer)
        if not _is_sound(layer):
            raise ValueError(
                f"{source!r} holds a {type(layer).__name__}, which this"
                " version of KerasHub cannot save; nothing trained on it could"
                " be kept. Choose another network."
            )


class _Mended:
    """A `get_config` that asks the constructor what it takes."""

    def __init__(self, layer):
        self._layer = layer

    def __call__(self):
        layer = self._layer
        try:
            config = type(layer).get_config(layer)
        except AttributeError:
            config = keras.layers.Layer.get_config(layer)
        taken = inspect.signature(type(layer).__init__).parameters
        base = ("name", "trainable", "dtype")
        mended = {name: config[name] for name in base if name in config}
        for name, parameter in taken.items():
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                continue
            if name == "self":
                continue
            # An argument that is nowhere raises an AttributeError: its
            # default may not be what the layer was made with.
            mended[name] = (
                config[name] if name in config else _plain(getattr(layer, name))
            )
        return mended


def _is_sound(layer):
    if type(layer).__name__ in _NEVER_BUILT:
        return False
    try:
        type(layer).from_config(layer.get_config())
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def _plain(value):
    """Serialises activations, initialisers and the like."""
    return keras.saving.serialize_keras_object(value)
