"""Backbones: one source, one file; `load` finds the file."""

import importlib
import inspect

import keras

from tltf.core.backbone import Backbone
from tltf.core.precision import check_precision, policy
from tltf.errors import nearest

# Source to the module that holds it; a source's module has `load` and, if its
# names can be listed, `names`. They are imported when they are first named.
_SOURCES = {
    "applications": "tltf.backbones.applications",
    "cv": "tltf.backbones.cv",
    "demo": "tltf.backbones.demo",
    "hub": "tltf.backbones.hub",
    "saved": "tltf.backbones.saved",
}

# Every argument that only some sources take, with its default.
_DEFAULTS = {"blocks": None, "cut": None, "image_size": None}


def load(
    source: str | keras.Model,
    *,
    weights: str | None = "pretrained",
    image_size: int | tuple[int, int] | None = None,
    sequence_length: int = 128,
    blocks: dict[str, str] | None = None,
    cut: str | None = None,
    precision: str | None = "auto",
) -> Backbone:
    """Loads a pretrained network without its top.

    Args:
        source: One of
            `"applications:ResNet50"`, a network of `keras.applications`;
            `"hub:bert_base_en_uncased"`, a KerasHub preset, or
            `"hub:./folder"`, a preset on this machine;
            `"cv:ResNet18V2"`, a network of KerasCV;
            `"saved:model.keras"`, a model in a file;
            `"demo:digits_0_4"`, a small one that comes with tltf;
            or a `keras.Model` of your own that takes pixels 0..255.
        weights: `"pretrained"`, the source's own (`"imagenet"` is the same
            for those that have no other); the path of a `.weights.h5` that
            fits; or None for random ones.
        image_size: Height and width in pixels, or one number for both;
            default, what the weights were trained for. Of networks that take
            pictures.
        sequence_length: How many tokens a text is cut or padded to. Of
            networks that take texts.
        blocks: Of your own or a saved model: block name to a regular
            expression, input to output; a block begins at the first layer
            whose name it matches. By default they are found in the graph.
        cut: Of a saved model: name of the last layer to keep.
        precision: What it computes in; weights stay float32. `"float32"`;
            `"bfloat16"`, which keeps two to three digits, for TPUs, GPUs of
            compute capability 8.0, and CPUs with AVX-512 BF16 (ResNet50 in
            half the time, depthwise convolutions slower); `"float16"`, for
            older GPUs; or `"auto"`: Keras' global policy if somebody set it,
            else what the GPU or TPU is fast in, and float32 on a CPU. Saved
            models keep what they were saved with unless told otherwise, your
            own models in any case.

    Raises:
        ValueError: There is no such source or network, or an argument does
            not fit it.
        UnavailableError: The weights are not on this machine and cannot be
            fetched. It comes within seconds and says what to put where.

    Example:
    >>> backbone = load("applications:ResNet50", weights=None)
    >>> [block.name for block in backbone.blocks]
    ['stem', 'conv2', 'conv3', 'conv4', 'conv5']
    """
    arguments = {
        "blocks": blocks,
        "cut": cut,
        "image_size": _as_size(image_size),
    }
    if isinstance(source, str):
        prefix, name = _parse(source)
        module = importlib.import_module(_SOURCES[prefix])
        arguments["weights"] = weights
        subject = (name,)
    else:
        module = importlib.import_module("tltf.backbones.own")
        subject = (source,)
        source = "a model of your own"
        if weights != "pretrained":
            raise ValueError(
                "`weights` of a model of your own are those it has; load"
                f" others into it beforehand. Received: {weights!r}"
            )
    taken = inspect.signature(module.load).parameters
    for argument, default in _DEFAULTS.items():
        if argument in taken:
            continue
        if arguments.pop(argument) != default:
            raise ValueError(f"`{argument}` is not for {source}.")
    optional = {"sequence_length": sequence_length, "precision": precision}
    arguments |= {n: value for n, value in optional.items() if n in taken}
    with policy(precision):
        backbone = module.load(*subject, **arguments)
    check_precision(backbone.model, precision, source)
    return backbone


def names(source: str) -> list[str]:
    """Names the networks of a source.

    Args:
        source: Such as `applications`. A source of files has no names.
    """
    module = importlib.import_module(_SOURCES[_check_source(source)])
    return module.names() if hasattr(module, "names") else []


def sources() -> list[str]:
    """Names the sources."""
    return list(_SOURCES)


def _parse(source):
    prefix, colon, name = source.partition(":")
    if not colon or not name:
        kinds = ", ".join(f"{known}:…" for known in _SOURCES)
        raise ValueError(
            f"A backbone is written source:name, with one of {kinds}, such as"
            f" 'applications:ResNet50'. Received: {source!r}."
            f"{_whole_guess(source)}"
        )
    return _check_source(prefix), name


def _check_source(prefix):
    if prefix in _SOURCES:
        return prefix
    raise ValueError(
        f"There is no source {prefix!r} of backbones."
        f"{nearest(prefix, _SOURCES)} There are {', '.join(_SOURCES)}."
    )


def _whole_guess(name):
    """Offers the network that was named without its source."""
    return nearest(name, names("applications")).replace(
        "'", "'applications:", 1
    )


def _as_size(image_size):
    if image_size is None:
        return None
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    size = tuple(image_size)
    if len(size) != 2 or not all(
        isinstance(side, int) and side > 0 for side in size
    ):
        raise ValueError(
            "`image_size` must be a number of pixels or (height, width)."
            f" Received: {image_size}"
        )
    return size
