"""Looks into a functional Keras model and cuts it, sharing its layers."""

import dataclasses
from collections.abc import Callable, Collection, Iterator

import keras


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer (or bare operation) in a model's graph."""

    layer: keras.Operation
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]


@dataclasses.dataclass(frozen=True)
class Trace:
    """A model's graph written down: inputs, outputs, and every call between.

    `calls` is in topological order.
    """

    inputs: object
    outputs: object
    calls: tuple[Call, ...]


def trace(
    model: keras.Model,
    replace: Callable[[keras.Operation], keras.Operation] | None = None,
) -> Trace:
    """Writes down the graph of a functional model on fresh inputs.

    The layers are shared with `model`, never copied.

    Args:
        model: A functional `keras.Model`.
        replace: Gives the layer to call in place of a layer of the model;
            default, the layer itself.
    """
    calls = []

    def record(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        calls.append(Call(layer, _tensors((args, kwargs)), _tensors(outputs)))
        return outputs

    shadow = keras.models.clone_model(
        model,
        clone_function=replace or (lambda layer: layer),
        call_function=record,
    )
    return Trace(shadow.input, shadow.output, tuple(calls))


def split(
    model: keras.Model,
    active: Collection[str],
    replace: Callable[[keras.Operation], keras.Operation] | None = None,
) -> tuple[keras.Model | None, keras.Model]:
    """Cuts a model below everything that is active.

    The prefix holds every call that no active layer feeds; the suffix the
    rest. `suffix(prefix(x))` is `model(x)`. Where several tensors cross the
    cut they are carried together as a list, raw inputs among them.

    Args:
        model: A functional `keras.Model`.
        active: Names of the layers that must be in the suffix.
        replace: As for `trace`; names in `active` are of the layers before
            they are replaced.

    Returns:
        prefix: A functional model from the inputs to the cut, or None if
            nothing lies below the cut.
        suffix: A functional model from the cut to the outputs.
    """
    replace = replace or (lambda layer: layer)
    origin = {}

    def remember(layer):
        replaced = replace(layer)
        origin[id(replaced)] = layer.name
        return replaced

    graph = trace(model, remember)
    fed_by_active, frontier, produced = set(), {}, set()
    for call in graph.calls:
        is_active = origin[id(call.layer)] in active or any(
            id(tensor) in fed_by_active for tensor in call.inputs
        )
        if not is_active:
            produced.update(id(tensor) for tensor in call.outputs)
            continue
        fed_by_active.update(id(tensor) for tensor in call.outputs)
        for tensor in call.inputs:
            if id(tensor) not in fed_by_active:
                frontier[id(tensor)] = tensor
    for tensor in keras.tree.flatten(graph.outputs):
        if id(tensor) not in fed_by_active:
            frontier[id(tensor)] = tensor
    if not produced & set(frontier):
        return None, keras.Model(graph.inputs, graph.outputs)
    cut = list(frontier.values())
    cut = cut[0] if len(cut) == 1 else cut
    return keras.Model(graph.inputs, cut), keras.Model(cut, graph.outputs)


def with_front(
    model: keras.Model, front: Callable[[keras.KerasTensor], keras.KerasTensor]
) -> keras.Model:
    """Returns a flat copy of a model with layers put before its input.

    The layers are copied with their weights, so that `layer.output` of every
    layer is the tensor of the new graph.

    Args:
        model: A functional model with one input.
        front: Maps the new model's input tensor to what `model` takes.
    """
    seen, fronted, copies = set(), {}, []

    def copy(layer):
        new = layer.__class__.from_config(layer.get_config())
        copies.append((layer, new))
        return new

    def call(layer, *args, **kwargs):
        def through_front(value):
            raw = isinstance(value, keras.KerasTensor) and id(value) not in seen
            if not raw:
                return value
            if id(value) not in fronted:
                fronted[id(value)] = front(value)
            return fronted[id(value)]

        args, kwargs = keras.tree.map_structure(through_front, (args, kwargs))
        outputs = layer(*args, **kwargs)
        seen.update(id(tensor) for tensor in _tensors(outputs))
        return outputs

    result = keras.models.clone_model(
        model, clone_function=copy, call_function=call
    )
    for layer, new in copies:
        if getattr(layer, "weights", None):
            new.set_weights(layer.get_weights())
    return result


def sublayers(layer: keras.Operation) -> Iterator[keras.layers.Layer]:
    """Yields a layer and every layer inside it, at any depth.

    Keras 3.15 has no public walk through the layers inside a layer that is
    not a model, so this is the one place that uses `_flatten_layers`;
    `tests/core/test_graph.py` notices when it changes.
    """
    if isinstance(layer, keras.layers.Layer):
        yield from layer._flatten_layers(include_self=True, recursive=True)


def batch_norms(layer: keras.Operation) -> Iterator[keras.layers.Layer]:
    """Yields the batch normalisation layers in a layer, itself included."""
    for inner in sublayers(layer):
        if isinstance(inner, keras.layers.BatchNormalization):
            yield inner


class InferenceMode(keras.layers.Layer):
    """Runs a layer with `training=False`, whatever `fit` says.

    Wiring `training=False` into a functional graph does not do it: `fit`
    overrides that (keras issue 20285). A layer whose `call` passes it on is
    obeyed.
    """

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(name=f"{layer.name}_in_inference_mode")
        self.layer = layer
        self.built = True

    def call(self, *args, **kwargs):
        """Calls the layer for inference."""
        kwargs.pop("training", None)
        return self.layer(*args, training=False, **kwargs)


def _tensors(structure) -> tuple[keras.KerasTensor, ...]:
    return tuple(
        leaf
        for leaf in keras.tree.flatten(structure)
        if isinstance(leaf, keras.KerasTensor)
    )
