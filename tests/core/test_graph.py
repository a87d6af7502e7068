import keras
import numpy as np
import pytest

from tests.conftest import tiny_backbone
from tltf.core.graph import (
    Cut,
    batch_norms,
    sublayers,
    trace,
    with_front,
)


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


def parts(model, active):
    """The model below and above the deepest cut below what is active."""
    graph = trace(model)
    cut = graph.below(active)
    return graph.model(None, cut), graph.model(cut, None)


@pytest.mark.parametrize(
    ("active", "crossing"),
    [({"left"}, 2), ({"norm"}, 3), ({"join"}, 3), ({"top"}, 1)],
)
def test_suffix_of_prefix_is_the_model(active, crossing):
    model = residual()
    prefix, suffix = parts(model, active)
    features = prefix(inputs())
    np.testing.assert_array_equal(suffix(features), model(inputs()))
    assert len(keras.tree.flatten(features)) == crossing


def test_layers_are_shared():
    model = residual()
    prefix, suffix = parts(model, {"left"})
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


def test_nothing_made_crosses_where_all_is_active():
    cut = trace(residual()).below({"first", "top"})
    assert cut.made == ()
    assert sorted(cut.raw) == [0, 1]


def test_a_cut_names_who_makes_what_crosses_it():
    cut = trace(residual()).below({"norm"})
    assert cut.tensors == ("left#0:0", "first#0:0", "input:1")
    assert cut.made == ("left#0:0", "first#0:0")
    assert cut.raw == (1,)


def test_a_cut_is_found_again_in_another_trace():
    model = residual()
    cut = trace(model).below({"norm"})
    again = trace(model)
    features = again.model(None, cut)(inputs())
    np.testing.assert_array_equal(
        again.model(cut, None)(features), model(inputs())
    )


def test_calls_between_two_cuts():
    graph = trace(residual())
    low, high = graph.below({"left"}), graph.below({"top"})
    between = [call.name for call in graph.between(low, high)]
    assert between[:3] == ["left", "norm", "join"]
    assert between[-2:] == ["pool", "scaled"]
    assert [call.name for call in graph.between(high, None)] == ["top"]
    assert graph.between(low, low) == ()
    # What lies above a cut does not lead back to it, nor one half of it on.
    assert graph.between(high, low) is None
    assert graph.between(Cut(("left#0:0",)), high) is None


def test_a_mask_crosses_with_what_it_masks():
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(10, 4, mask_zero=True, name="embed")(tokens)
    x = keras.layers.LSTM(3, return_sequences=True, name="lstm")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(tokens, keras.layers.Dense(2, name="top")(x))
    texts = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 0]])
    for active, crossing in (({"lstm"}, 2), ({"pool"}, 2), ({"top"}, 1)):
        prefix, suffix = parts(model, active)
        features = prefix.predict(texts, verbose=0)
        assert len(keras.tree.flatten(features)) == crossing
        np.testing.assert_allclose(
            suffix.predict(features, verbose=0), model(texts), atol=1e-6
        )


def test_a_layer_that_is_used_twice_is_told_apart():
    image = keras.Input((4,), name="image")
    shared = keras.layers.Dense(4, name="shared")
    x = shared(image)
    x = keras.layers.Dense(4, name="middle")(x)
    model = keras.Model(image, keras.layers.Dense(1, name="top")(shared(x)))
    graph = trace(model)
    assert graph.below({"middle"}).tensors == ("shared#0:0",)
    assert graph.below({"top"}).tensors == ("shared#1:0",)
    assert graph.below({"shared"}).made == ()


def test_layer_outputs_stay_those_of_the_model():
    """Cutting adds uses of a layer; the first must stay the model's own."""
    model = residual()
    parts(model, {"left"})
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
