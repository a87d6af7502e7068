"""Looks into a functional Keras model and cuts it, sharing its layers."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import keras


@dataclasses.dataclass(frozen=True)
class Call:
    """One use of a layer (or bare operation) in a model's graph.

    Args:
        layer: What is called.
        name: Its name in the model, also where another took its place.
        arguments: What it is called with, `(args, kwargs)`.
        outputs: The tensors that it gives.
    """

    layer: keras.Operation
    name: str
    arguments: tuple[tuple, dict]
    outputs: tuple[keras.KerasTensor, ...]

    @functools.cached_property
    def inputs(self) -> tuple[keras.KerasTensor, ...]:
        """The tensors that it is given."""
        return _tensors(self.arguments)


@dataclasses.dataclass(frozen=True)
class Cut:
    """The tensors that cross a cut, by who makes them.

    The same cut can be found again in another trace of the same model.

    Args:
        tensors: Such as `"conv4_block6_out#0:0"` (layer, number of its call,
            number of the output), or `"input:0"` for a raw input.
    """

    tensors: tuple[str, ...]

    @property
    def raw(self) -> tuple[int, ...]:
        """Which of the model's inputs cross it as they are."""
        return tuple(
            int(tensor.removeprefix("input:"))
            for tensor in self.tensors
            if tensor.startswith("input:")
        )

    @property
    def made(self) -> tuple[str, ...]:
        """The tensors that are no raw inputs."""
        return tuple(t for t in self.tensors if not t.startswith("input:"))


class Features(NamedTuple):
    """What crosses a cut, where a model's inputs could be.

    Args:
        tensors: A tensor for each that crosses the cut, in its order.
    """

    tensors: tuple

    def as_inputs(self):
        """Returns what the part of a model above the cut takes."""
        return _one_or_list(list(self.tensors))


@dataclasses.dataclass(frozen=True)
class Graph:
    """A model's graph written down: inputs, outputs, and every call between.

    `calls` is in topological order.
    """

    inputs: object
    outputs: object
    calls: tuple[Call, ...]

    def below(self, active: Collection[str]) -> Cut:
        """Finds the deepest cut below everything that is active.

        One sweep in topological order: a call that an active one feeds is
        above the cut, and what it takes from below crosses it. Skip
        connections and masks are such tensors, and so are raw inputs.

        Args:
            active: Names of the layers that must be above the cut.
        """
        above, crossing = set(), {}

        def cross(tensors):
            for tensor in tensors:
                if id(tensor) not in above:
                    crossing[id(tensor)] = None

        for call in self.calls:
            fed = any(id(tensor) in above for tensor in call.inputs)
            if fed or call.name in active:
                above.update(id(tensor) for tensor in call.outputs)
                cross(call.inputs)
        cross(keras.tree.flatten(self.outputs))
        return Cut(tuple(self._addresses[key] for key in crossing))

    def between(
        self, start: Cut | None, end: Cut | None
    ) -> tuple[Call, ...] | None:
        """Lists the calls that lead from one cut to another.

        Args:
            start: Where to begin; None for the inputs.
            end: Where to stop; None for the outputs.

        Returns:
            The calls in their order; None if the end takes more than what
            crosses the start.
        """
        known = {id(tensor) for tensor in self.at(start, self.inputs)}
        needed = {id(tensor) for tensor in self.at(end, self.outputs)} - known
        found = []
        for call in reversed(self.calls):
            made = {id(tensor) for tensor in call.outputs}
            if made & needed:
                found.append(call)
                needed -= made
                needed |= {id(tensor) for tensor in call.inputs} - known
        return None if needed else tuple(reversed(found))

    def model(self, start: Cut | None, end: Cut | None) -> keras.Model:
        """Returns the part between two cuts as a model that shares layers.

        Where several tensors cross a cut, it takes or gives a list of them.

        Args:
            start: Where to begin; None for the inputs.
            end: Where to stop; None for the outputs.
        """
        return keras.Model(
            self.inputs if start is None else _one_or_list(self.at(start)),
            self.outputs if end is None else _one_or_list(self.at(end)),
        )

    def at(self, cut: Cut | None, default=None) -> list[keras.KerasTensor]:
        """The tensors that cross a cut; `default` where there is none."""
        if cut is None:
            return keras.tree.flatten(default)
        return [self._tensors[address] for address in cut.tensors]

    @functools.cached_property
    def _tensors(self) -> dict[str, keras.KerasTensor]:
        """Every tensor by its address."""
        found = {
            f"input:{i}": tensor
            for i, tensor in enumerate(keras.tree.flatten(self.inputs))
        }
        times = {}
        for call in self.calls:
            number = times[call.name] = times.get(call.name, -1) + 1
            for i, tensor in enumerate(call.outputs):
                found[f"{call.name}#{number}:{i}"] = tensor
        return found

    @functools.cached_property
    def _addresses(self) -> dict[int, str]:
        return {id(tensor): name for name, tensor in self._tensors.items()}


def trace(
    model: keras.Model,
    replace: Callable[[keras.Operation], keras.Operation] | None = None,
) -> Graph:
    """Writes down the graph of a functional model on fresh inputs.

    The layers are shared with `model`, never copied.

    Args:
        model: A functional `keras.Model`.
        replace: Gives the layer to call in place of a layer of the model;
            default, the layer itself.
    """
    calls, names = [], {}

    def substitute(layer):
        used = layer if replace is None else replace(layer)
        names[id(used)] = layer.name
        return used

    def record(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        calls.append(
            Call(layer, names[id(layer)], (args, kwargs), _tensors(outputs))
        )
        return outputs

    shadow = keras.models.clone_model(
        model, clone_function=substitute, call_function=record
    )
    return Graph(shadow.input, shadow.output, tuple(calls))


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
        super().__init__(
            name=f"{layer.name}_in_inference_mode", dtype=layer.dtype_policy
        )
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


def _one_or_list(tensors: list):
    return tensors[0] if len(tensors) == 1 else tensors
