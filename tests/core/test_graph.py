import keras
import numpy as np
import pytest

from tests.conftest import tiny_backbone
from tltf.core.graph import batch_norms, split, sublayers, trace, with_front


def residual():
    """Two paths that join, and a second input that is used late."""
    image = keras.Input((8, 8, 3), name="image")
    scale = keras.Input((4,), name="scale")
    x = keras.layers.Conv2D(4, 3, padding="same", name="first")(image)
    y = keras.layers.Conv2D(4, 1, name="left")(x)
    y = keras.layers.BatchNormalization(name="norm")(y)
    x = keras.layers.Add(name="join")([x, y])
    x = keras.ops.flip(x, axis=-1)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Multiply(name="scaled")([x, scale])
    return keras.Model(
        {"image": image, "scale": scale},
        keras.layers.Dense(2, name="top")(x),
    )


def inputs():
    random = np.random.default_rng(0)
    return {
        "image": random.normal(size=(5, 8, 8, 3)).astype("float32"),
        "scale": random.normal(size=(5, 4)).astype("float32"),
    }


@pytest.mark.parametrize(
    ("active", "crossing"),
    [({"left"}, 2), ({"norm"}, 3), ({"join"}, 3), ({"top"}, 1)],
)
def test_suffix_of_prefix_is_the_model(active, crossing):
    model = residual()
    prefix, suffix = split(model, active)
    features = prefix(inputs())
    np.testing.assert_array_equal(suffix(features), model(inputs()))
    assert len(keras.tree.flatten(features)) == crossing


def test_layers_are_shared():
    model = residual()
    prefix, suffix = split(model, {"left"})
    assert prefix.get_layer("first") is model.get_layer("first")
    assert suffix.get_layer("top") is model.get_layer("top")
    assert {v.path for v in suffix.variables} == {
        f"{layer}/{name}"
        for layer, names in {
            "left": ("kernel", "bias"),
            "norm": ("gamma", "beta", "moving_mean", "moving_variance"),
            "top": ("kernel", "bias"),
        }.items()
        for name in names
    }


def test_nothing_below_the_cut():
    model = residual()
    prefix, suffix = split(model, {"first", "top"})
    assert prefix is None
    np.testing.assert_array_equal(suffix(inputs()), model(inputs()))


def test_layer_outputs_stay_those_of_the_model():
    """Splitting adds uses of a layer; the first must stay the model's own."""
    model = residual()
    split(model, {"left"})
    seen = keras.Model(model.input, model.get_layer("join").output)
    assert seen(inputs()).shape == (5, 8, 8, 4)


def test_trace_is_in_topological_order():
    graph = trace(residual())
    known = {id(t) for t in keras.tree.flatten(graph.inputs)}
    for call in graph.calls:
        assert {id(t) for t in call.inputs} <= known
        known |= {id(t) for t in call.outputs}


def test_front_is_put_before_a_copy_with_equal_weights():
    model = tiny_backbone(dropout=0).model
    fronted = with_front(model, keras.layers.Rescaling(0.5, name="half"))
    image = np.random.default_rng(0).uniform(0, 255, (2, 12, 12, 3))
    np.testing.assert_allclose(fronted(image), model(image / 2), rtol=1e-5)
    assert fronted.get_layer("b1_conv") is not model.get_layer("b1_conv")
    seen = keras.Model(fronted.input, fronted.get_layer("b1_bn").output)
    assert seen(image).shape == (2, 12, 12, 4)


def test_the_private_walk_through_layers_is_still_there():
    """`sublayers` leans on a private name of Keras; see its docstring."""
    outer = keras.layers.TimeDistributed(
        keras.Sequential(
            [keras.layers.BatchNormalization(), keras.layers.Dense(1)]
        )
    )
    kinds = {type(layer).__name__ for layer in sublayers(outer)}
    assert kinds == {
        "TimeDistributed",
        "Sequential",
        "BatchNormalization",
        "Dense",
    }
    assert len(list(batch_norms(outer))) == 1
