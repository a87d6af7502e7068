import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, tiny_pictures
from tltf.core import recipes
from tltf.core.fit import fit
from tltf.core.recipes import fine_tune, gradual_unfreezing, linear_probe, lp_ft
from tltf.core.splits import Splits
from tltf.core.stage import Stage
from tltf.errors import DataError, TrainingError


def weights_by_path(model):
    return {v.path: v.numpy().copy() for v in model.variables}


def moved(before, model):
    after = weights_by_path(model)
    return {
        path
        for path in after
        if not np.array_equal(before[path], after[path])
        and "seed_generator" not in path
    }


def test_linear_probe_moves_the_head_and_nothing_else(make_model, splits):
    model = make_model()
    before = weights_by_path(model)
    fit(model, splits, recipe=linear_probe(2))
    assert moved(before, model) == {"predictions/kernel", "predictions/bias"}


def test_frozen_batch_norm_does_not_move_in_unfrozen_blocks(make_model, splits):
    model = make_model()
    before = weights_by_path(model)
    fit(model, splits, recipe=Stage(unfreeze=2, epochs=2))
    assert moved(before, model) == {
        "b2_conv/kernel",
        "b2_conv/bias",
        "b3_conv/kernel",
        "b3_conv/bias",
        "predictions/kernel",
        "predictions/bias",
    }


def test_affine_batch_norm_trains_gamma_and_beta_alone(make_model, splits):
    model = make_model()
    before = weights_by_path(model)
    fit(model, splits, recipe=Stage(unfreeze=1, batch_norm="affine"))
    of_norms = {path for path in moved(before, model) if "_bn/" in path}
    assert of_norms == {"b3_bn/gamma", "b3_bn/beta"}


def test_training_batch_norm_moves_statistics_of_open_blocks(
    make_model, splits
):
    model = make_model()
    before = weights_by_path(model)
    fit(model, splits, recipe=Stage(unfreeze=1, batch_norm="train"))
    of_norms = {path for path in moved(before, model) if "_bn/" in path}
    assert of_norms == {
        f"b3_bn/{name}"
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    }


def test_one_history_over_all_stages(make_model, splits, tmp_path):
    run = fit(make_model(), splits, recipe=lp_ft(2, 3), model_dir=tmp_path)
    assert run.boundaries == [("head", 0), ("all", 2)]
    assert run.epoch == [0, 1, 2, 3, 4]
    assert all(len(values) == 5 for values in run.history.values())
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(run.history)
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert len(rows) == 6 and rows[0].startswith("epoch,stage,")
    for name in ("best.keras", "last.keras"):
        loaded = keras.models.load_model(tmp_path / name)
        assert loaded.classes == CLASSES


def test_history_equals_plain_keras(make_model):
    """A stage that opens all, without dropout, is what Keras' fit does."""
    images, labels = tiny_pictures(32)
    splits = Splits.from_arrays(
        (images, labels), (images, labels), classes=CLASSES, batch_size=8
    )
    ours, theirs = make_model(dropout=0), make_model(dropout=0)
    stage = Stage("all", 3, 1e-2, optimizer="sgd", batch_norm="train")
    run = fit(ours, splits, recipe=stage, seed=5)
    theirs.unfreeze("all", "train")
    theirs.compile(
        keras.optimizers.SGD(1e-2, momentum=0.9),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = theirs.fit(
        splits.train.passes(seed=5),
        steps_per_epoch=4,
        epochs=3,
        validation_data=splits.validation.one_pass(),
        shuffle=False,
        verbose=0,
    ).history
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(run.history[name], history[name], rtol=1e-5)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_same_seed_same_weights_other_seed_others(make_model, splits):
    recipe = fine_tune(2, 1e-3, augment="light")
    models = [make_model() for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        fit(model, splits, recipe=recipe, seed=seed)
    first, again, other = (m.get_weights() for m in models)
    assert all(map(np.array_equal, first, again))
    assert not all(map(np.array_equal, first, other))


def test_frozen_dropout_is_off(make_model, splits):
    """With dropout only in frozen blocks, the seed of dropout is nothing."""
    without, heavy = make_model(dropout=0), make_model(dropout=0.9)
    values = {v.path: v.numpy() for v in without.variables}
    for variable in heavy.variables:
        if "seed_generator" not in variable.path:
            variable.assign(values[variable.path])
    losses = [
        fit(model, splits, recipe=linear_probe(2)).history["loss"]
        for model in (without, heavy)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_early_stopping_goes_back_to_the_best_weights(make_model, splits):
    model = make_model()
    stage = Stage("all", 30, 0.3, optimizer="sgd", patience=2)
    run = fit(model, splits, recipe=stage)
    result = run.stages[0]
    assert result.epochs < 30
    assert result.epochs == result.best_epoch + 3
    model.compile(loss="categorical_crossentropy")
    loss = model.evaluate(splits.validation.one_pass(), verbose=0)
    assert loss == pytest.approx(min(run.history["val_loss"]), rel=1e-5)


def test_nan_stops_with_the_step_named_and_good_weights_kept(
    make_model, splits
):
    model = make_model()
    recipe = (Stage(epochs=1, name="calm"), Stage("all", 4, 1e30, name="wild"))
    with pytest.raises(TrainingError, match=r"'wild', epoch 2, step \d"):
        fit(model, splits, recipe=recipe)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_class_weights_weigh_the_loss(make_model):
    images, labels = tiny_pictures(36)
    rare = np.concatenate(
        [np.where(labels == 0)[0], np.where(labels > 0)[0][:6]]
    )
    splits = Splits.from_arrays(
        (images[rare], labels[rare]), (images, labels), classes=CLASSES
    )
    weights = {name: 0.0 if name == "ape" else 1.0 for name in CLASSES}
    model = make_model()
    fit(
        model,
        splits,
        recipe=linear_probe(30, 0.05, class_weights=weights),
    )
    predicted = model.predict(images, verbose=0).argmax(-1)
    assert not (predicted == 0).any()


def test_callbacks_see_one_training_and_the_transfer_model(
    make_model, splits, tmp_path
):
    class Spy(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_train_begin(self, logs=None):
            self.seen.append("begin")

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append(epoch)

        def on_train_end(self, logs=None):
            self.seen.append("end")

    spy, model = Spy(), make_model()
    csv = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    board = keras.callbacks.TensorBoard(str(tmp_path / "board"))
    checkpoint = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "model.keras"), save_best_only=True
    )
    fit(
        model,
        splits,
        recipe=lp_ft(2, 1),
        callbacks=[spy, csv, board, checkpoint],
    )
    assert spy.seen == ["begin", 0, 1, 2, "end"]
    assert spy.model is model
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    assert list((tmp_path / "board").rglob("events*"))
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.classes == CLASSES


def test_users_early_stopping_stops_the_whole_run(make_model, splits):
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=1)
    run = fit(make_model(), splits, recipe=lp_ft(10, 10), callbacks=[stop])
    assert len(run.epoch) < 10 and len(run.stages) == 1


def test_pictures_scaled_already_are_refused(make_model):
    images, labels = tiny_pictures()
    scaled = Splits.from_arrays((images / 255.0, labels), classes=CLASSES)
    with pytest.raises(DataError, match=r"0\.\.255 was expected"):
        fit(make_model(), scaled)


def test_nan_pixels_are_refused(make_model):
    images, labels = tiny_pictures()
    images = images.astype("float32")
    images[:, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="row 0 has values that are not finite"):
        Splits.from_arrays((images, labels), classes=CLASSES)
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    streamed = Splits.from_datasets(data, data, classes=CLASSES)
    with pytest.raises(DataError, match="NaN"):
        fit(make_model(), streamed)


def test_pictures_of_another_size_are_refused(make_model):
    images, labels = tiny_pictures(size=16)
    other = Splits.from_arrays((images, labels), classes=CLASSES)
    with pytest.raises(DataError, match="shape"):
        fit(make_model(), other)


def test_labels_of_another_kind_or_name_are_refused(make_model, splits):
    with pytest.raises(ValueError, match="binary"):
        fit(make_model(["no", "yes"]), splits)
    with pytest.raises(ValueError, match="classes are"):
        fit(make_model(["a", "b", "c"]), splits)


def test_a_wrong_block_is_found_before_training(make_model, splits):
    with pytest.raises(ValueError, match="Did you mean 'b3'"):
        fit(make_model(), splits, recipe=(Stage(), Stage(unfreeze="b33")))


@pytest.mark.parametrize("kind", ["binary", "multi_label", "regression"])
def test_every_kind_of_label_trains(make_model, kind):
    from tltf.core.labels import Labels

    images, labels = tiny_pictures()
    names = ("no", "yes") if kind == "binary" else CLASSES
    targets = {
        "binary": labels % 2,
        "multi_label": np.eye(3)[labels],
        "regression": np.eye(3)[labels] * 10.0,
    }[kind]
    meaning = Labels(names, kind)
    splits = Splits.from_arrays((images, targets), classes=meaning)
    model = make_model(meaning)
    run = fit(model, splits, recipe=fine_tune(3, 1e-2))
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_gradual_unfreezing_opens_one_block_a_stage(make_model, splits):
    run = fit(make_model(), splits, recipe=gradual_unfreezing(3))
    assert [len(result.blocks) for result in run.stages] == [1, 2, 3, 4]
    assert [result.learned for result in run.stages] == [2, 4, 6, 8]


def test_optimizer_moments_outlive_the_change_of_stage(make_model, splits):
    """Two stages of the same kind are one of both lengths, to the bit."""
    once, twice = make_model(), make_model()
    settings = {"unfreeze": "all", "learning_rate": 1e-3}
    fit(once, splits, recipe=Stage(epochs=4, **settings))
    run = fit(twice, splits, recipe=[Stage(epochs=2, **settings)] * 2)
    assert run.stages[1].carried == 2 * run.stages[1].learned
    for a, b in zip(once.get_weights(), twice.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_schedule_spans_the_recipe(make_model, splits):
    """Its position survives: the rates are those of one long stage."""
    shape = {"schedule": "slanted_triangular", "span": "recipe"}
    long = fit(make_model(), splits, recipe=Stage(0, 4, **shape))
    short = fit(make_model(), splits, recipe=[Stage(0, 1, **shape)] * 4)
    assert long.history["learning_rate"] == short.history["learning_rate"]


def test_recipe_names_and_their_options():
    assert recipes.of("lp_ft", epochs=7)[1].epochs == 7
    with pytest.raises(ValueError, match="Did you mean 'lp_ft'"):
        recipes.of("lpft")
    with pytest.raises(ValueError, match="no argument 'epoch'"):
        recipes.of("linear_probe", epoch=7)
    with pytest.raises(TypeError, match="Stage"):
        recipes.of([1])


@pytest.mark.parametrize("monitor", ["val_accuracy", "val_loss"])
def test_keras_callbacks_find_what_they_monitor(
    make_model, splits, monitor, tmp_path
):
    model = make_model()
    callbacks = [
        keras.callbacks.EarlyStopping(monitor, patience=3),
        keras.callbacks.ModelCheckpoint(
            str(tmp_path / "best.keras"), monitor=monitor, save_best_only=True
        ),
    ]
    fit(model, splits, recipe=Stage(epochs=2), callbacks=callbacks)
    assert (tmp_path / "best.keras").exists()
    assert model.metrics == []


def test_callbacks_may_set_a_constant_rate(make_model, splits):
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    plateau = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.1, patience=1, min_delta=10.0, mode="min"
    )
    run = fit(make_model(), splits, recipe=Stage(epochs=3), callbacks=[halve])
    np.testing.assert_allclose(
        run.history["learning_rate"], [5e-4, 2.5e-4, 1.25e-4], rtol=1e-5
    )
    run = fit(make_model(), splits, recipe=Stage(epochs=3), callbacks=[plateau])
    assert run.history["learning_rate"][-1] < 1e-3
    with pytest.raises(ValueError, match="LearningRateScheduler sets"):
        fit(
            make_model(),
            splits,
            recipe=Stage(epochs=3, schedule="cosine"),
            callbacks=[halve],
        )


@pytest.mark.parametrize("optimizer", ["adafactor", keras.optimizers.Adam])
def test_other_optimizers_go_on_over_stages(make_model, splits, optimizer):
    if not isinstance(optimizer, str):
        optimizer = optimizer(gradient_accumulation_steps=2)
    recipe = [
        Stage(0, 2, optimizer=optimizer),
        Stage(1, 2, optimizer=optimizer),
    ]
    run = fit(make_model(), splits, recipe=recipe)
    assert len(run.epoch) == 4


def test_texts_are_refused_by_a_model_of_pictures(make_model):
    texts = Splits.from_arrays((["good"] * 9, [0, 1, 2] * 3), classes=CLASSES)
    with pytest.raises(ValueError, match=r"are texts.*takes pictures"):
        fit(make_model(), texts)
