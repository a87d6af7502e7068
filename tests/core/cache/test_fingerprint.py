"""What is computed otherwise has another name, and nothing else has."""

import importlib.util
import sys

import keras
import keras_hub
import numpy as np
import pytest
from keras_hub.src.utils.keras_utils import gelu_approximate

from tltf.core.cache import fingerprint
from tltf.core.graph import trace
from tltf.core.stage import Stage


def print_of(outputs, inputs):
    graph = trace(keras.Model(inputs, outputs))
    return fingerprint.of_calls(
        graph.calls,
        keras.tree.flatten(graph.inputs),
        keras.tree.flatten(graph.outputs),
    )


def of_layers(*layers, shape=(4, 4, 2)):
    """The fingerprint of layers one behind the other."""
    x = image = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return print_of(x, image)


def conv(**settings):
    """A convolution that has the same weights each time."""
    settings = {
        "filters": 3,
        "kernel_size": 1,
        "kernel_initializer": "ones",
    } | settings
    return keras.layers.Conv2D(**settings)


def test_names_do_not_matter():
    first = of_layers(conv(name="a"), keras.layers.ReLU())
    assert first == of_layers(conv(name="b"), keras.layers.ReLU(name="c"))


def test_the_state_of_dropout_does_not_matter():
    dropout = keras.layers.Dropout(0.5)
    before = of_layers(dropout)
    dropout(np.ones((1, 4, 4, 2)), training=True)
    assert of_layers(dropout) == before


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": 2},
        {"activation": "relu"},
        {"dilation_rate": 2},
        {"use_bias": False},
        {"dtype": "float64"},
    ],
    ids=str,
)
def test_settings_matter(settings):
    assert of_layers(conv(**settings)) != of_layers(conv())


def test_weights_matter():
    layer = conv()
    before = of_layers(layer)
    layer.bias.assign([0, 0, 1e-30])
    assert of_layers(layer) != before


def test_settings_of_bare_operations_matter():
    image = keras.Input((4, 4, 2))
    prints = {
        print_of(outputs, image)
        for outputs in (
            keras.ops.flip(image, axis=1),
            keras.ops.flip(image, axis=2),
            image[:, 1:],
            image[:, :1],
        )
    }
    assert len(prints) == 4


def test_which_input_is_which_matters():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inputs = {"a": a, "b": b}
    prints = {
        print_of(keras.layers.Subtract()(p), inputs) for p in ([a, b], [b, a])
    }
    assert len(prints) == 2


def test_which_argument_a_tensor_is_matters():
    attention = keras.layers.MultiHeadAttention(1, 2)
    x, y = keras.Input((3, 2), name="x"), keras.Input((3, 2), name="y")
    prints = {
        print_of(outputs, [x, y])
        for outputs in (attention(x, y, key=x), attention(x, y))
    }
    assert len(prints) == 2


def test_every_number_of_a_long_constant_matters():
    """As text, the middle of a long array is three dots."""
    image, prints = keras.Input((3000,)), set()
    for position in (0, 1500):
        constant = np.ones(3000, "float32")
        constant[position] = 2
        prints.add(print_of(keras.ops.multiply(image, constant), image))
    assert len(prints) == 2


def test_which_outputs_are_wanted_matters():
    image = keras.Input((4,))
    a, b = keras.layers.ReLU()(image), keras.layers.Softmax()(image)
    assert print_of([a, b], image) != print_of([b, a], image)


def test_a_vocabulary_matters():
    """It is no variable, nor, where it was adapted, a setting."""
    prints = set()
    for texts in (["one two"], ["two three"]):
        layer = keras.layers.TextVectorization(output_sequence_length=3)
        layer.adapt(texts)
        text = keras.Input((), dtype="string")
        prints.add(print_of(layer(text), text))
    assert len(prints) == 2


OWN = """
import keras

class Base(keras.layers.Layer):
    def scaled(self, x):
        return x * {base}

@keras.saving.register_keras_serializable("tests_of_source")
class Inner(keras.layers.Layer):
    def call(self, x):
        return x * {inner}

    def compute_output_shape(self, shape):
        return shape

@keras.saving.register_keras_serializable("tests_of_source")
class Outer(Base):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = Inner()

    def call(self, x):
        return self.scaled(self.inner(x)) * {outer}
"""


@pytest.fixture
def own_layers(tmp_path, monkeypatch):
    """Gives a function that imports layers from a new file each time."""

    def module(**factors):
        values = {"base": 1, "inner": 1, "outer": 1} | factors
        path = tmp_path / "_".join(map(str, values.values())) / "own.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(OWN.format(**values))
        spec = importlib.util.spec_from_file_location("own_layers", path)
        loaded = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "own_layers", loaded)
        spec.loader.exec_module(loaded)
        return loaded

    return module


def test_functions_of_libraries_are_known_by_their_version():
    layers = keras_hub.layers
    decoder = layers.TransformerDecoder(2, 1, activation=gelu_approximate)
    assert of_layers(decoder, shape=(3, 2)) == of_layers(decoder, shape=(3, 2))


@pytest.mark.parametrize("changed", ["outer", "base", "inner"])
def test_the_source_of_layers_of_your_own_matters(own_layers, changed):
    """That of a class they inherit from, of a layer inside them, too."""
    prints = [
        of_layers(own_layers(**factors).Outer())
        for factors in ({}, {}, {changed: 2})
    ]
    assert prints[0] == prints[1] != prints[2]


def test_the_source_within_a_wrapper_matters(own_layers):
    prints = {
        of_layers(keras.layers.TimeDistributed(own_layers(inner=i).Inner()))
        for i in (1, 2)
    }
    assert len(prints) == 2


def test_the_source_of_an_augmentation_of_your_own_matters(own_layers):
    prints = [
        fingerprint.of_views(
            Stage(0, 2, augment=own_layers(inner=i).Inner(), views=2)
        )
        for i in (1, 1, 2)
    ]
    assert prints[0] == prints[1] != prints[2]


def test_views_are_told_apart_but_not_by_names():
    def views(factor, name, count=2):
        layer = keras.layers.RandomTranslation(factor, factor, name=name)
        return fingerprint.of_views(Stage(0, 2, augment=layer, views=count))

    assert views(0.1, "a") == views(0.1, "b")
    assert len({views(0.1, "a"), views(0.2, "a"), views(0.1, "a", 3)}) == 3


def my_activation(x):
    return x


def nowhere():
    """A layer of a class that was made without a file."""
    call = {"call": lambda self, x: x}
    return type("Nowhere", (keras.layers.Layer,), call)()


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Activation(my_activation),
        lambda: keras.layers.Lambda(my_activation),
        nowhere,
    ],
    ids=["activation", "lambda", "class without a file"],
)
def test_what_cannot_be_read_has_no_fingerprint(layer):
    with pytest.raises(ValueError, match="cannot be read"):
        of_layers(layer())
