import keras
import numpy as np
import pytest

from tests.conftest import CLASSES, tiny_backbone, tiny_pictures
from tltf.core.labels import Labels
from tltf.core.model import TransferModel


def test_flat_model_reaches_every_layer_by_name(make_model):
    model = make_model()
    assert isinstance(model, keras.Model)
    assert not any(isinstance(x, keras.Model) for x in model.layers)
    seen = keras.Model(model.input, model.get_layer("b2_relu").output)
    assert seen(np.zeros((2, 12, 12, 3))).shape == (2, 12, 12, 8)


@pytest.mark.parametrize("head", ["linear", "mlp", "concat_pool"])
def test_saved_and_loaded_is_equal(head, tmp_path):
    keras.utils.set_random_seed(0)
    model = TransferModel(
        tiny_backbone(), CLASSES, head=head, hidden_units=(7, 5), dropout=0.1
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images, _ = tiny_pictures(5)
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), loaded.predict(images, verbose=0)
    )
    assert loaded.blocks == model.blocks
    assert loaded.labels == model.labels
    assert loaded.preprocess == model.preprocess
    assert loaded.origin == model.origin


@pytest.mark.parametrize(
    ("unfreeze", "expected"),
    [
        (0, ["head"]),
        (None, ["head"]),
        (1, ["b3", "head"]),
        ("b2", ["b2", "b3", "head"]),
        ("all", ["stem", "b1", "b2", "b3", "head"]),
        (4, ["stem", "b1", "b2", "b3", "head"]),
    ],
)
def test_unfreeze_opens_exactly_these_blocks(make_model, unfreeze, expected):
    model = make_model()
    assert [b.name for b in model.unfrozen(unfreeze)] == expected
    model.unfreeze(unfreeze, batch_norm="train")
    open_paths = {v.path for v in model.trainable_variables}
    should = {
        variable.path
        for name, variables in model.learnable().items()
        if name in expected
        for variable in variables
    }
    assert open_paths == should


@pytest.mark.parametrize("wrong", [5, -1, "b9", True, 1.5])
def test_wrong_unfreeze_says_what_there_is(make_model, wrong):
    with pytest.raises(ValueError, match=r"0\.\.4, 'all' or a block name"):
        make_model().unfrozen(wrong)


def test_asking_what_is_learnable_changes_no_flag(make_model):
    model = make_model()
    model.unfreeze(2)
    model.get_layer("b2_conv").bias.trainable = False
    before = [(v.path, v.trainable) for v in model.variables]
    learnable = model.learnable()
    assert [(v.path, v.trainable) for v in model.variables] == before
    assert {v.path for v in learnable["b1"]} == {
        "b1_conv/kernel",
        "b1_conv/bias",
        "b1_bn/gamma",
        "b1_bn/beta",
    }


def test_labels_check_themselves():
    assert Labels.of(3).classes == ("0", "1", "2")
    with pytest.raises(ValueError, match="differ"):
        Labels(("a", "a"))
    with pytest.raises(ValueError, match="at least 2"):
        Labels(("a",), "categorical")
    with pytest.raises(ValueError, match="Did you mean 'multi_label'"):
        Labels(("a", "b", "c"), "multilabel")
    with pytest.raises(TypeError, match="list of names"):
        Labels.of("cat")


def test_binary_probabilities_have_a_column_for_each_class():
    found = Labels.of(2).probabilities(np.array([[0.2], [0.9]]))
    np.testing.assert_allclose(found, [[0.8, 0.2], [0.1, 0.9]])
