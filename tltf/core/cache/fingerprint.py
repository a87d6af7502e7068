"""Names features by what they are made of: data, weights, computation."""

import functools
import hashlib
import inspect
import json
import pathlib
import sys
import tempfile
from collections.abc import Collection, Sequence

import keras
import numpy as np
import tensorflow as tf

from tltf._version import __version__
from tltf.core.augment import Augment
from tltf.core.graph import Call, sublayers
from tltf.core.preprocess import LayerPreprocess, Preprocess
from tltf.core.random_state import is_random_state
from tltf.core.split import Split
from tltf.core.stage import Stage

# Whose layers change with the version alone.
_PACKAGES = ("keras", "keras_hub", "keras_cv", "tensorflow", "tltf")


def of(*parts) -> str:
    """Returns the SHA-256 of plain data, in hexadecimal."""
    text = json.dumps(parts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def of_data(split: Split, preprocess: Preprocess | None) -> str:
    """Returns the fingerprint of the inputs that a part gives, in order.

    It is made of the raw content, that of files included: sizes and times
    of files do not tell whether they were changed.

    Args:
        split: The part.
        preprocess: What turns its raw examples into the model's input.
    """
    digest = hashlib.sha256()
    examples = split.examples
    if isinstance(examples, tf.data.Dataset):
        raw = examples.map(lambda inputs, _: inputs)
        for example in raw.as_numpy_iterator():
            _add(digest, example)
    else:
        _add(digest, examples, split.is_files)
    return of(digest.hexdigest(), _versions(), _preprocessing(preprocess))


def of_calls(
    calls: Sequence[Call],
    inputs: Sequence[keras.KerasTensor],
    results: Sequence[keras.KerasTensor],
) -> str:
    """Returns the fingerprint of a computation with its weights.

    Names do not matter; kinds, settings, wiring and weights do, and the
    versions of who wrote the layers. Of a layer of the user's own the source
    matters too.

    Args:
        calls: All of it, in order.
        inputs: Of the model, in their order.
        results: Which of the tensors are its result.

    Raises:
        ValueError: A layer's settings or source cannot be read.
    """
    digest, packages = hashlib.sha256(), set()
    numbers = {id(tensor): number for number, tensor in enumerate(inputs)}

    def numbered(leaf):
        if isinstance(leaf, keras.KerasTensor):
            return numbers.setdefault(id(leaf), len(numbers))
        return _plain(leaf)

    for call in calls:
        wiring = keras.tree.map_structure(numbered, call.arguments)
        for tensor in call.outputs:
            numbered(tensor)
        packages.add(type(call.layer).__module__.partition(".")[0])
        digest.update(of(wiring, of_layer(call.layer)).encode())
        for variable in getattr(call.layer, "variables", ()):
            if not is_random_state(variable):
                _add(digest, variable.numpy())
    order = [numbered(tensor) for tensor in results]
    return of(digest.hexdigest(), order, _versions(packages))


def of_layer(layer: keras.Operation) -> str:
    """Returns the fingerprint of what a layer does, but for its variables.

    Raises:
        ValueError: Its settings or source cannot be read.
    """
    inner = list(sublayers(layer)) or [layer]
    assets = [_assets(part) for part in inner]
    return of(_settings(layer), _sources(inner), assets)


def of_views(stage: Stage) -> str:
    """Returns the fingerprint of how a stage augments, without its seed.

    Raises:
        ValueError: A layer's settings or source cannot be read.
    """
    augment = stage.augment
    if not isinstance(augment, str):
        augment = [
            (
                f"{type(layer).__module__}.{type(layer).__qualname__}",
                of_layer(layer),
            )
            for layer in Augment.of(augment).layers
        ]
    return of(stage.views, augment)


def _add(digest, value, is_files: bool = False) -> None:
    """Adds data to a digest, so that no two data add the same bytes."""
    if isinstance(value, dict):
        for name in sorted(value):
            digest.update(name.encode() + b"\0")
            _add(digest, value[name])
        return
    if isinstance(value, (tuple, list)):
        for item in value:
            _add(digest, item)
        return
    value = np.asarray(value)
    digest.update(f"{value.shape}{value.dtype.kind}{value.itemsize}".encode())
    if value.dtype.kind not in "OUS":
        digest.update(np.ascontiguousarray(value).reshape(-1).view("u1"))
        return
    for text in value.flat:
        if is_files:
            # Not all files are on this machine.
            with tf.io.gfile.GFile(text, "rb") as file:
                text = file.read()
        text = text if isinstance(text, bytes) else str(text).encode()
        digest.update(len(text).to_bytes(8, "big") + text)


def _preprocessing(preprocess: Preprocess | None):
    """What tells one preprocessing from another."""
    if preprocess is None:
        return None
    settings = _nameless(keras.saving.serialize_keras_object(preprocess))
    is_layer = isinstance(preprocess, LayerPreprocess)
    # A tokenizer's settings do not hold its vocabulary.
    layer = of_layer(preprocess.layer) if is_layer else None
    return settings, _sources([preprocess]), layer


def _plain(value) -> str:
    """Writes what is no plain data: arrays by all that is in them."""
    if isinstance(value, keras.Variable):
        value = value.numpy()
    if isinstance(value, (np.ndarray, tf.Tensor)):
        digest = hashlib.sha256()
        _add(digest, value)
        return digest.hexdigest()
    return repr(value)


def _settings(layer: keras.Operation):
    try:
        return _nameless(layer.get_config())
    except NotImplementedError as error:
        raise ValueError(
            f"layer '{layer.name}' has no readable settings"
        ) from error


def _assets(layer: keras.Operation) -> list[str]:
    """What a layer saves beside variables and settings: vocabularies."""
    if not hasattr(layer, "save_assets"):
        return []
    with tempfile.TemporaryDirectory() as folder:
        layer.save_assets(folder)
        return [
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(pathlib.Path(folder).rglob("*"))
            if path.is_file()
        ]


def _nameless(config):
    """Leaves out the names of layers, which number what came before.

    Raises:
        ValueError: A setting is a function of which the name alone is known.
    """
    if isinstance(config, dict):
        if config.get("class_name") == "function":
            return _source_of_function(config["config"])
        return {k: _nameless(v) for k, v in config.items() if k != "name"}
    if isinstance(config, (tuple, list)):
        return [_nameless(value) for value in config]
    return config


def _source_of_function(name: str) -> str:
    function = keras.saving.get_registered_object(name)
    if function is None:
        raise ValueError(f"the source of function {name} cannot be read")
    return _source(function)


def _sources(things: Sequence) -> list[str]:
    """What tells their classes from others, and those they inherit from."""
    kinds = (kind for thing in things for kind in type(thing).__mro__[:-1])
    return [_source(kind) for kind in dict.fromkeys(kinds)]


@functools.cache
def _source(kind) -> str:
    """What tells one kind of layer, or one function, from another."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if _is_versioned(kind.__module__):
        return name
    try:
        return name + inspect.getsource(kind)
    except (OSError, TypeError) as error:
        raise ValueError(f"the source of {name} cannot be read") from error


def _is_versioned(module: str) -> bool:
    """Whether a module changes with the version of its package alone."""
    package = module.partition(".")[0]
    return package in _PACKAGES or package in sys.stdlib_module_names


def _versions(packages: Collection[str] = ()) -> dict[str, str]:
    """The versions of what computes, and of the packages of its layers."""
    found = {"tensorflow": tf.__version__, "tltf": __version__}
    for name in {"keras", *packages}:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = version
    return found
