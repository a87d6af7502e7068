"""A linear head on frozen features is solved, not stepped towards."""

import keras
import numpy as np
import pytest

from tests.conftest import CLASSES, tiny_backbone, tiny_pictures
from tltf.core.fit import fit
from tltf.core.labels import Labels
from tltf.core.model import TransferModel
from tltf.core.recipes import linear_probe, lp_ft
from tltf.core.splits import Splits
from tltf.core.stage import Stage
from tltf.errors import AuditError

KINDS = ["binary", "categorical", "multi_label", "regression"]


def problem(kind):
    """Pictures whose labels of some kind follow from them, with noise."""
    images, labels = tiny_pictures(48)
    random = np.random.default_rng(0)
    noisy = np.where(random.random(48) < 0.15, (labels + 1) % 3, labels)
    targets = {
        "binary": (noisy > 0).astype("int32"),
        "categorical": noisy,
        "multi_label": np.stack([noisy > 0, noisy != 1], axis=1),
        "regression": np.stack([noisy * 10.0, -noisy + 3.0], axis=1),
    }[kind]
    names = CLASSES if kind == "categorical" else ("one", "two")
    return Splits.from_arrays(
        (images, targets), classes=Labels(names, kind), batch_size=8
    )


def below_head(model, images):
    """The features, computed by Keras alone."""
    pool = model.get_layer("head_average_pool").output
    images = images.astype("float32")
    return keras.Model(model.input, pool).predict(images, verbose=0)


def assert_is_optimum(model, splits, weights=None):
    """The gradient of the penalised loss is zero, for some strength C.

    On features z that are standardised, with head V of z and weights c of
    the examples, C sum_i c_i z_i (p_i - y_i) = -V and sum_i c_i (p_i - y_i)
    = 0, for every kind of label: the losses are those of their activations.
    """
    train = splits.train
    features = below_head(model, train.examples).astype("float64")
    kernel, bias = model.get_layer("predictions").get_weights()
    scale = features.std(axis=0)
    z = (features - features.mean(axis=0)) / scale
    predicted = model.predict(train.examples.astype("float32"), verbose=0)
    wrong = predicted - np.asarray(splits.labels.encode(train.targets))
    if weights is not None:
        wrong *= np.asarray(weights)[train.targets][:, None]
    v, gradient = kernel * scale[:, None], z.T @ wrong
    strength = -(v * gradient).sum() / (gradient**2).sum()
    assert strength > 0
    residual = np.abs(strength * gradient + v).max() / np.abs(v).max()
    assert residual < 2e-3, residual
    assert np.abs(wrong.sum(axis=0)).max() < 1e-3 * np.abs(predicted).max()
    half_powers = 2 * np.log10(strength)
    assert half_powers == pytest.approx(round(half_powers), abs=0.05)
    assert bias.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_linear_probe_ends_at_the_optimum(make_model, kind):
    splits = problem(kind)
    model = make_model(splits.labels)
    run = fit(model, splits, linear_probe(10))
    assert_is_optimum(model, splits)
    name = "ridge regression" if kind == "regression" else "L-BFGS"
    assert f"solved by {name}" in run.stages[0].notes[0]


def test_class_weights_weigh_what_is_solved(make_model):
    splits, model = problem("categorical"), make_model()
    weights = (5.0, 1.0, 0.2)
    by_name = dict(zip(CLASSES, weights, strict=True))
    fit(model, splits, linear_probe(class_weights=by_name))
    assert_is_optimum(model, splits, weights)


def test_a_solved_stage_is_one_epoch_with_the_figures_of_the_model(
    make_model, tmp_path
):
    splits, model = problem("categorical"), make_model()
    run = fit(model, splits, linear_probe(10), model_dir=tmp_path)
    assert run.epoch == [0] and run.stages[0].epochs == 1
    model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    for prefix, part in (("", splits.train), ("val_", splits.validation)):
        loss, accuracy = model.evaluate(part.one_pass(), verbose=0)
        assert run.history[f"{prefix}loss"] == [pytest.approx(loss, rel=1e-5)]
        assert run.history[f"{prefix}accuracy"] == [pytest.approx(accuracy)]
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert len(rows) == 2
    saved = keras.models.load_model(tmp_path / "best.keras")
    np.testing.assert_array_equal(
        saved.get_layer("predictions").get_weights()[0],
        model.get_layer("predictions").get_weights()[0],
    )


def test_solved_twice_is_no_error(make_model):
    """The second time nothing moves, and nothing need."""
    splits, model = problem("categorical"), make_model()
    run = fit(model, splits, linear_probe() * 2)
    assert [stage.epochs for stage in run.stages] == [1, 1]
    first = model.get_layer("predictions").get_weights()
    fit(model, splits, linear_probe())
    for a, b in zip(
        first, model.get_layer("predictions").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


class Touch(keras.callbacks.Callback):
    """Changes a frozen weight."""

    def on_epoch_end(self, epoch, logs=None):
        kernel = self.model.get_layer("b1_conv").kernel
        kernel.assign(kernel + 1)


def test_the_rest_is_proved_still(make_model):
    splits, model = problem("categorical"), make_model()
    run = fit(model, splits, linear_probe())
    # Three blocks of two variables of a convolution and four of a norm.
    assert (run.stages[0].learned, run.stages[0].still) == (2, 18)
    with pytest.raises(AuditError, match="b1_conv/kernel' moved"):
        fit(model, splits, linear_probe(), callbacks=[Touch()])


class Head(keras.callbacks.Callback):
    """Notes the head's weights as each epoch begins."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(self.model.get_layer("predictions").get_weights())


def test_the_next_stage_goes_on_from_the_solved_head(make_model):
    splits = problem("categorical")
    solved, model, head = make_model(), make_model(), Head()
    fit(solved, splits, linear_probe())
    recipe = lp_ft(10, 2, head_solver="auto", learning_rate=1e-4)
    run = fit(model, splits, recipe, callbacks=[head])
    assert [stage.epochs for stage in run.stages] == [1, 2]
    assert len(head.seen) == 3
    for ours, theirs in zip(
        head.seen[1],
        solved.get_layer("predictions").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(head.seen[2][0], head.seen[1][0])


def views(layers, count=2):
    return {"augment": layers, "views": count}


@pytest.mark.parametrize("kind", ["categorical", "regression"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_views_are_solved_where_they_keep_their_targets(
    make_model, kind, dtype
):
    splits = problem(kind)
    model = make_model(splits.labels)
    flip = keras.layers.RandomFlip()
    run = fit(
        model,
        splits,
        linear_probe(10, **views(flip)),
        cache_dtype=dtype,
    )
    assert "solved by" in run.stages[0].notes[0]


@pytest.mark.parametrize("epochs", [1, 2])
def test_how_many_epochs_were_planned_does_not_matter(make_model, epochs):
    stage = Stage(0, epochs, solver="lbfgs")
    run = fit(make_model(), problem("categorical"), stage)
    assert "solved by L-BFGS" in run.stages[0].notes[0]


OBSTACLES = {
    "mlp": ("not linear", {"model": {"head": "mlp", "hidden_units": (4,)}}),
    "dropout": ("has dropout", {"model": {"dropout": 0.5}}),
    "absent class": (
        "'dog' has no training example",
        {"classes": (*CLASSES, "dog")},
    ),
    "mixed targets": (
        "mixes targets",
        {"stage": views([keras.layers.MixUp(alpha=0.4)])},
    ),
    "fresh augmentation": (
        "fresh in every epoch",
        {"stage": {"augment": "light"}},
    ),
    "no cache": ("the cache is off", {"fit": {"cache": "none"}}),
    "a block": ("more than the head", {"stage": {"unfreeze": 1}}),
    "spanned": ("spans several stages", {"stage": {"span": "recipe"}}),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_cannot_be_solved_is_trained_in_steps_or_explained(name):
    reason, given = OBSTACLES[name]
    images, labels = tiny_pictures()
    splits = Splits.from_arrays(
        (images, labels),
        classes=given.get("classes", CLASSES),
        batch_size=8,
    )
    model = TransferModel(
        tiny_backbone(), splits.classes, **given.get("model", {})
    )
    settings = {"epochs": 2, "solver": "lbfgs"} | given.get("stage", {})
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"{reason}.*solver='auto'"):
        fit(model, splits, Stage(**settings), **given.get("fit", {}))
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    stage = Stage(**settings | {"solver": "auto"})
    run = fit(model, splits, stage, **given.get("fit", {}))
    assert run.stages[0].epochs == 2
    assert reason in run.stages[0].notes[0]


def test_steps_are_taken_where_steps_are_asked_for(make_model, splits):
    run = fit(make_model(), splits, linear_probe(3, solver="steps"))
    assert run.stages[0].epochs == 3 and run.stages[0].cached
