"""A run that is killed and resumed ends where it would have ended."""

import contextlib
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import CLASSES, tiny_backbone, tiny_pictures
from tltf.core import recipes
from tltf.core.cache.forward import Forward
from tltf.core.checkpoints import Checkpoints
from tltf.core.fit import fit
from tltf.core.interrupts import Interrupts
from tltf.core.model import TransferModel
from tltf.core.run_folder import RunFolder
from tltf.core.saves import Saved, Saves
from tltf.core.splits import Splits
from tltf.core.stage import Stage
from tltf.errors import Interrupted

# 29 training examples in batches of 8 are four steps, the last one uneven.
SPLITS = Splits.from_arrays(tiny_pictures(36), classes=CLASSES, batch_size=8)

RECIPES = {
    "cached, then unfrozen": recipes.lp_ft(2, 2, learning_rate=1e-2),
    "a solved head": recipes.lp_ft(1, 2, head_solver="lbfgs"),
    "augmented": recipes.fine_tune(2, 1e-2, augment="strong"),
    "views": Stage(1, 3, 1e-2, augment="light", views=2),
    "a schedule over stages": recipes.gradual_unfreezing(2),
    "patience": Stage("all", 5, 0.3, patience=1),
    "statistics": Stage(
        "all", 2, 1e-2, optimizer="sgd", batch_norm="train", weight_decay=0.01
    ),
}


class Killed(BaseException):
    """What a kill looks like from within."""


def make(seed=0, head="mlp"):
    keras.utils.set_random_seed(seed)
    dropout = 0.3 if head == "mlp" else 0
    return TransferModel(
        tiny_backbone(dropout=0.3), CLASSES, head=head, dropout=dropout
    )


def end_of(run):
    """Weights, random state and history, wall time left out."""
    rows = [
        {n: v for n, v in row.items() if n != "seconds"} for row in run.rows
    ]
    return [v.numpy() for v in run.model.variables], rows


def assert_same(run, other):
    (weights, rows), (others, other_rows) = end_of(run), end_of(other)
    assert rows == other_rows
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(run.stages, other.stages, strict=True):
        # With one epoch left, a cache may no longer pay.
        left_out = {"seconds": 0, "cached": 0, "notes": 0}
        a, b = (result.to_dict() | left_out for result in (a, b))
        assert a == b


@contextlib.contextmanager
def killed_at(number):
    """Kills after so many checkpoints were written."""
    written, write = [], Saves.write

    def one_more(self, saved):
        done = write(self, saved)
        written.append(saved.state)
        if len(written) == number:
            raise Killed
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Saves, "write", one_more)
        yield written


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_killed_between_any_two_steps(recipe, tmp_path):
    options = {"recipe": recipe, "seed": 3}
    first = recipe if isinstance(recipe, Stage) else recipe[0]
    head = "linear" if first.solver == "lbfgs" else "mlp"

    def run(seed=0, **more):
        return fit(make(seed, head), SPLITS, **options, **more)

    with killed_at(0) as written:
        whole = run(model_dir=tmp_path / "a", save_every=0)
    count = len(written)
    assert count == len({(s["epoch"], s["step"]) for s in written})
    # Another model to begin with: all of it has to come from the checkpoint.
    for number in np.linspace(1, count, 4, dtype=int):
        folder = tmp_path / str(number)
        with killed_at(number), pytest.raises(Killed):
            run(model_dir=folder, save_every=0)
        again = run(seed=7, model_dir=folder, resume=True)
        assert_same(again, whole)


def test_killed_again_and_again(tmp_path):
    options = {"recipe": recipes.lp_ft(1, 2), "model_dir": tmp_path}
    whole = fit(make(), SPLITS, recipe=options["recipe"])
    for _ in range(6):
        with killed_at(2), pytest.raises(Killed):
            fit(make(), SPLITS, resume=True, save_every=0, **options)
    assert_same(fit(make(), SPLITS, resume=True, **options), whole)


class At(keras.callbacks.Callback):
    """Sends a signal where it is told to."""

    def __init__(self, event, number=signal.SIGTERM, count=1):
        super().__init__()
        self._left, self._number = count, number
        setattr(self, event, self._send)

    def _send(self, *_, **__):
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._number)


@pytest.mark.parametrize(
    "event, count, where",
    [
        ("on_train_batch_begin", 6, "epoch 2, after 2 of 4 steps"),
        ("on_train_batch_end", 4, "epoch 1, after 4 of 4 steps"),
        ("on_test_batch_begin", 1, "epoch 1, after 4 of 4 steps"),
        ("on_epoch_end", 1, "epoch 2, after 0 of 4 steps"),
    ],
)
def test_a_signal_finishes_the_step_and_saves(tmp_path, event, count, where):
    options = {"recipe": Stage(1, 3, 1e-2), "model_dir": tmp_path}
    whole = fit(make(), SPLITS, recipe=options["recipe"])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=where) as raised:
        fit(make(), SPLITS, callbacks=[At(event, count=count)], **options)
    assert raised.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    again = fit(make(seed=7), SPLITS, resume=True, **options)
    assert_same(again, whole)


def test_a_signal_after_the_last_step_is_heard(tmp_path):
    options = {"recipe": Stage(1, 2), "model_dir": tmp_path}
    with pytest.raises(Interrupted, match="SIGTERM"):
        fit(make(), SPLITS, callbacks=[At("on_train_end")], **options)


def test_what_could_not_be_saved_is_not_said_to_be(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(Interrupted, match="could not be saved"):
        fit(
            make(),
            SPLITS,
            recipe=Stage(1, 2),
            callbacks=[At("on_train_batch_begin")],
            model_dir=tmp_path,
        )


def test_a_solved_head_stays_solved_whatever_the_cache(tmp_path):
    recipe = RECIPES["a solved head"]
    whole = fit(make(head="linear"), SPLITS, recipe=recipe)
    options = {"recipe": recipe, "model_dir": tmp_path}
    with killed_at(1), pytest.raises(Killed):
        fit(make(head="linear"), SPLITS, save_every=0, **options)
    again = fit(make(7, "linear"), SPLITS, resume=True, cache="none", **options)
    assert_same(again, whole)


def test_ctrl_c_twice_leaves_at_once(tmp_path, in_front):
    twice = [At("on_train_batch_begin", signal.SIGINT) for _ in range(2)]
    with pytest.raises(Interrupted, match="in the middle of a step"):
        fit(make(), SPLITS, callbacks=twice, model_dir=tmp_path)


def test_without_a_folder_ctrl_c_is_what_it_always_was(in_front):
    once = At("on_train_batch_begin", signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as raised:
        fit(make(), SPLITS, callbacks=[once])
    assert not isinstance(raised.value, Interrupted)


def test_users_callbacks_go_on_too(tmp_path):
    """Keras' EarlyStopping, with its best weights, and a counter."""

    class Counter(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.steps = 0

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1

    def callbacks():
        stopping = keras.callbacks.EarlyStopping(
            "val_loss", patience=1, restore_best_weights=True
        )
        return stopping, Counter()

    recipe = Stage("all", 9, 0.3)
    theirs = callbacks()
    whole = fit(make(), SPLITS, recipe=recipe, callbacks=theirs)
    assert len(whole.rows) < 9
    for number in (3, 4 * len(whole.rows) - 2):
        folder, ours = tmp_path / str(number), callbacks()
        with killed_at(number), pytest.raises(Killed):
            fit(
                make(),
                SPLITS,
                recipe=recipe,
                callbacks=callbacks(),
                model_dir=folder,
                save_every=0,
            )
        again = fit(
            make(seed=7),
            SPLITS,
            recipe=recipe,
            callbacks=ours,
            model_dir=folder,
            resume=True,
        )
        assert_same(again, whole)
        assert ours[1].steps == theirs[1].steps
        assert ours[0].best == theirs[0].best


def test_streams_go_on_where_they_were(tmp_path):
    images, labels = tiny_pictures(36)
    stream = tf.data.Dataset.from_tensor_slices((images, labels))
    splits = Splits.from_datasets(
        stream, stream.take(9), classes=CLASSES, batch_size=8
    )
    recipe = Stage("all", 2, 1e-2)
    whole = fit(make(), splits, recipe=recipe)
    with killed_at(7), pytest.raises(Killed):
        fit(make(), splits, recipe=recipe, model_dir=tmp_path, save_every=0)
    again = fit(
        make(seed=7), splits, recipe=recipe, model_dir=tmp_path, resume=True
    )
    assert_same(again, whole)


@pytest.mark.parametrize(
    "other, named",
    [
        ({"seed": 4}, "seed"),
        ({"recipe": Stage(1, 4)}, "recipe"),
        ({"splits": SPLITS.parts["train"]}, "data or batch size"),
        ({"model": 1}, "model"),
    ],
    ids=["seed", "recipe", "data", "model"],
)
def test_another_run_is_not_gone_on_with(tmp_path, other, named):
    settings = {"recipe": Stage(1, 3), "seed": 3, "model_dir": tmp_path}
    with killed_at(2), pytest.raises(Killed):
        fit(make(), SPLITS, save_every=0, **settings)
    model, splits = make(), SPLITS
    if other.pop("splits", None):
        splits = Splits.from_arrays(
            tiny_pictures(36), classes=CLASSES, batch_size=9
        )
    if other.pop("model", None):
        model = TransferModel(tiny_backbone(), CLASSES)
    with pytest.raises(ValueError, match=f"with other {named}"):
        fit(model, splits, resume=True, **settings | other)


def test_a_full_disk_costs_the_checkpoint_alone(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    whole = fit(make(), SPLITS, recipe=Stage(1, 2))
    monkeypatch.setattr("numpy.savez", full)
    run = fit(
        make(), SPLITS, recipe=Stage(1, 2), model_dir=tmp_path, save_every=0
    )
    assert_same(run, whole)
    assert "could not be saved" in caplog.text


def test_nothing_to_resume_begins_anew(tmp_path):
    recipe = Stage(1, 2)
    whole = fit(make(), SPLITS, recipe=recipe)
    run = fit(make(), SPLITS, recipe=recipe, model_dir=tmp_path, resume=True)
    assert_same(run, whole)
    assert not RunFolder(tmp_path).checkpoints.exists()
    with pytest.raises(ValueError, match="model_dir"):
        fit(make(), SPLITS, resume=True)


def test_a_signal_while_features_are_computed(tmp_path, monkeypatch):
    """Nothing is saved yet, and nothing is in the way of beginning anew."""
    over = Forward.over

    def asked_to_end(self, *args):
        for number, outputs in enumerate(over(self, *args)):
            if number == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield outputs

    options = {"recipe": recipes.lp_ft(2, 1), "model_dir": tmp_path}
    whole = fit(make(), SPLITS, recipe=options["recipe"])
    with monkeypatch.context() as patch:
        patch.setattr(Forward, "over", asked_to_end)
        with pytest.raises(Interrupted, match="Stopped by SIGTERM"):
            fit(make(), SPLITS, cache="disk", **options)
    assert not list(tmp_path.rglob(".writing-*"))
    assert_same(fit(make(), SPLITS, resume=True, **options), whole)


def test_saving_takes_a_fiftieth_of_the_time_at_most(tmp_path, monkeypatch):
    """Three seconds to save: the next is due 150 s later, not 60."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(
        Checkpoints, "save", lambda *_: now.__setitem__(0, now[0] + 3)
    )
    saves = Saves(RunFolder(tmp_path), 60.0, Interrupts())

    def due_after(seconds):
        now[0] += seconds
        return saves.is_due

    assert [due_after(59), due_after(1)] == [False, True]
    saves.write(Saved({}, {}))
    assert [due_after(149), due_after(1)] == [False, True]
    saves.interrupts.number = signal.SIGTERM
    saves.write(Saved({}, {}))
    assert saves.is_due
