"""Names features by what they are made of: data, weights, computation."""

import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Collection, Sequence

import keras
import numpy as np
import tensorflow as tf

from tltf._version import __version__
from tltf.core.graph import Call
from tltf.core.preprocess import Preprocess
from tltf.core.random_state import is_random_state
from tltf.core.split import Split

# Whose layers change with the version alone.
_PACKAGES = ("keras", "keras_hub", "keras_cv", "tltf")


def of(*parts) -> str:
    """Returns the SHA-256 of plain data, in hexadecimal."""
    text = json.dumps(parts, sort_keys=True, default=str)
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
    settings = preprocess and keras.saving.serialize_keras_object(preprocess)
    return of(digest.hexdigest(), _versions(), settings)


def of_calls(
    calls: Sequence[Call], results: Sequence[keras.KerasTensor]
) -> str:
    """Returns the fingerprint of a computation with its weights.

    Names do not matter; kinds, settings, wiring and weights do, and the
    versions of who wrote the layers. Of a layer of the user's own the source
    matters too.

    Args:
        calls: All of it, in order.
        results: Which of the tensors are its result.

    Raises:
        ValueError: A layer's settings or source cannot be read.
    """
    digest, numbers, packages = hashlib.sha256(), {}, set()

    def numbered(leaf):
        if isinstance(leaf, keras.KerasTensor):
            return numbers.setdefault(id(leaf), len(numbers))
        return repr(leaf)

    for call in calls:
        wiring = keras.tree.flatten(
            keras.tree.map_structure(numbered, call.arguments)
        )
        for tensor in call.outputs:
            numbered(tensor)
        kind = type(call.layer)
        packages.add(kind.__module__.partition(".")[0])
        digest.update(of(wiring, _source(kind), _settings(call.layer)).encode())
        for variable in getattr(call.layer, "variables", ()):
            if not is_random_state(variable):
                _add(digest, variable.numpy())
    order = [numbered(tensor) for tensor in results]
    return of(digest.hexdigest(), order, _versions(packages))


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
            with open(text, "rb") as file:
                text = file.read()
        text = text if isinstance(text, bytes) else str(text).encode()
        digest.update(len(text).to_bytes(8, "big") + text)


def _settings(layer: keras.Operation):
    try:
        return _nameless(layer.get_config())
    except NotImplementedError as error:
        raise ValueError(
            f"layer '{layer.name}' has no readable settings"
        ) from error


def _nameless(config):
    """Leaves out the names of layers, which number what came before."""
    if isinstance(config, dict):
        return {k: _nameless(v) for k, v in config.items() if k != "name"}
    if isinstance(config, (tuple, list)):
        return [_nameless(value) for value in config]
    return config


@functools.cache
def _source(kind: type) -> str:
    """What tells one kind of layer from another."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.partition(".")[0] in _PACKAGES:
        return name
    try:
        return name + inspect.getsource(kind)
    except (OSError, TypeError) as error:
        raise ValueError(f"the source of {name} cannot be read") from error


def _versions(packages: Collection[str] = ()) -> dict[str, str]:
    """The versions of what computes, and of the packages of its layers."""
    found = {"tensorflow": tf.__version__, "tltf": __version__}
    for name in {"keras", *packages}:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = version
    return found
