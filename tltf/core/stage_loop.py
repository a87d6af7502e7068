"""One stage of a run: freeze, compile, fit, prove."""

import functools
import time

import keras
import tensorflow as tf

from tltf.core import notes, plan, probe
from tltf.core import strategy as strategies
from tltf.core.audit import Audit
from tltf.core.augment import Augment
from tltf.core.cache.feed import Feed
from tltf.core.objective import Supervised, retracing_is_meant
from tltf.core.optimizer import carry_over, make_optimizer, with_loss_scale
from tltf.core.progress import Progress
from tltf.core.run import StageResult
from tltf.core.run_state import RunState
from tltf.core.saver import FromStep, Saver
from tltf.core.saves import Saved, assign, values
from tltf.core.watch import Recorder, Relay, Watch


class StageLoop:
    """Trains one stage, from its beginning or from where it was left.

    Args:
        run: What the stages have in common.
        number: Which of them.
        feed: What the stage reads.
        saved: The stage as `take` returned it; None to begin it.

    Attributes:
        watch: Knows the best weights.
    """

    def __init__(
        self,
        run: RunState,
        number: int,
        feed: Feed,
        saved: Saved | None = None,
    ):
        self._run, self._feed, self._saved = run, feed, saved
        self._number, self._stage = number, run.stages[number]
        # What a checkpoint holds of a stage, beside its parts' own.
        self._state = {
            "first_epoch": len(run.history),
            "first_step": run.step,
            "carried": 0,
            "seconds": 0.0,
            "how": None,
            "before": None,
        }
        if saved is not None:
            self._state = {name: saved.state[name] for name in self._state}
        self._started = time.perf_counter() - self._state["seconds"]
        if run.pad and plan.learns_from_batch(self._stage):
            strategies.synchronize_norms(run.model)
        self._audit = Audit(run.model, self._stage, self._state["before"])
        run.moved |= self._audit.expectation.moves
        self._objective = Supervised(
            run.model,
            self._stage,
            plan.class_weights(run.splits, self._stage),
            feed.start,
        )
        run.model.train_as(self._objective)
        self.watch = self._make_watch()
        if saved is not None:
            self.watch.put_back(saved)

    def run(self) -> StageResult:
        """Trains, proves what moved, and says how it went."""
        stage, feed = self._stage, self._feed
        why = self._reason_for_steps()
        if why is None:
            # Solved again, a head may come out as it was.
            self._audit.allow_rest()
        with self._audit:
            if why is not None:
                self._train()
                self._state["how"] = notes.on_feed(stage, feed, why)
            elif self._state["how"] is None:
                self._state["how"] = self._solve()
                self._save_solved()
        if stage.patience is not None and self.watch.best_epoch is not None:
            self.watch.best.restore()
        return self._result(solved=why is None)

    def _reason_for_steps(self) -> str | None:
        """As `probe` has it; what was begun goes on as it was begun."""
        if self._state["how"] is not None:
            return None
        why = probe.reason_for_steps(
            self._run.model, self._stage, self._feed, self._objective
        )
        return why if self._saved is None else why or ""

    def take(self, epoch: int, step: int, figures: dict | None) -> Saved:
        """Returns all that a checkpoint of the run holds.

        Args:
            epoch: Its epoch, counted over all stages.
            step: How many of its steps were taken.
            figures: Of training in that epoch, once all steps were.
        """
        whole, watch = self._run.take(), self.watch.take()
        self._state["before"] = self._audit.before
        self._state["seconds"] = time.perf_counter() - self._started
        here = {
            "stage": self._number,
            "epoch": epoch,
            "step": step,
            "figures": figures,
            "stopped": self._objective.stop_training,
        }
        arrays = {"optimizer": values(self._objective.optimizer.variables)}
        if step and figures is None:
            arrays["metrics"] = values(self._objective.metrics_variables)
        return Saved(
            whole.state | watch.state | self._state | here,
            whole.arrays | watch.arrays | arrays,
        )

    def _result(self, solved: bool) -> StageResult:
        expectation = self._audit.expectation
        first_epoch = self._state["first_epoch"]
        said = notes.on_audit(self._run.model, self._stage, self._audit)
        return StageResult(
            stage=self._stage,
            first_epoch=first_epoch,
            epochs=len(self._run.history) - first_epoch,
            best_epoch=self.watch.best_epoch,
            blocks=expectation.blocks,
            learned=len(expectation.learns),
            carried=self._state["carried"],
            still=len(expectation.stays),
            silent=self._audit.silent,
            seconds=time.perf_counter() - self._started,
            cached=self._feed.train is not None,
            solved=solved,
            notes=(self._state["how"], *said),
        )

    def _make_watch(self) -> Watch:
        moving = [
            variable
            for variable in self._run.model.variables
            if variable.path in self._audit.expectation.moves
        ]
        return Watch(
            f"stage '{self._stage.name}'",
            moving,
            self._run.model.labels.monitor,
            self._stage.patience,
        )

    def _solve(self) -> str:
        """Solves the head, which counts as one epoch.

        Returns:
            How it was solved.
        """
        run, stage, feed = self._run, self._stage, self._feed
        epoch = len(run.history)
        run.users.on_epoch_begin(epoch)
        started = time.perf_counter()
        solution = probe.solve_head(
            run.model, feed, plan.class_weights(run.splits, stage)
        )
        self._objective.prepare(
            make_optimizer(stage.optimizer, stage.learning_rate)
        )
        logs = self._evaluate(feed.train.one_pass(pad=run.pad))
        logs |= self._evaluate(feed.held.one_pass(pad=run.pad), "val_")
        self.watch.on_epoch_end(epoch, logs)
        shown = Progress(stage.name, run.epochs, 1)
        if run.verbose:
            shown.on_epoch_end(epoch, logs)
        seconds = time.perf_counter() - started
        run.history.add(stage.name, logs, 0.0, seconds)
        run.users.on_epoch_end(epoch, logs)
        return notes.on_solution(stage, solution, run.model.labels)

    def _save_solved(self) -> None:
        """What was solved is not solved again."""
        saves = self._run.saves
        if saves.is_due:
            done = saves.write(self.take(len(self._run.history), 0, None))
            saves.interrupts.leave(f" after the head was solved, {done}")

    def _evaluate(self, batches: tf.data.Dataset, prefix: str = "") -> dict:
        figures = self._objective.evaluate(batches, return_dict=True, verbose=0)
        return {prefix + name: value for name, value in figures.items()}

    def _train(self) -> None:
        """Compiles with an optimizer that goes on where the last was, fits."""
        run, stage, step = self._run, self._stage, self._state["first_step"]
        schedule = plan.schedule(
            run.stages, self._number, run.splits.train, step
        )
        optimizer = self._make_optimizer(plan.rate(schedule))
        self._objective.prepare(optimizer)
        run.optimizer = optimizer
        run.model.optimizer = optimizer

        def check():
            self._audit.check_plan(self._objective.trainable_variables)

        check()
        recorder = Recorder(stage.name, schedule, run.history)
        self._fit([self.watch, recorder, Relay(run.users, check)])

    def _make_optimizer(self, rate) -> keras.optimizers.Optimizer:
        run, stage = self._run, self._stage
        optimizer = make_optimizer(stage.optimizer, rate)
        for path in self._audit.expectation.learns:
            run.first_steps.setdefault(path, self._state["first_step"])
        optimizer.set_variables(
            plan.multipliers(run.model, stage),
            run.first_steps,
            stage.weight_decay,
        )
        optimizer = with_loss_scale(optimizer, run.model.precision)
        optimizer.build(self._objective.trainable_variables)
        if self._saved is None:
            self._state["carried"] = carry_over(run.optimizer, optimizer)
        else:
            saved = self._saved.arrays["optimizer"]
            assign(optimizer.variables, saved, "the optimizer")
        return optimizer

    def _fit(self, callbacks) -> None:
        """Fits what is left of the stage."""
        steps = plan.steps(self._stage, self._run.splits.train)
        epoch, step = len(self._run.history), 0
        end = self._state["first_epoch"] + self._stage.epochs
        metrics = None
        if self._saved is not None:
            state = self._saved.state
            if state["stopped"]:
                return
            epoch, step = state["epoch"], state["step"]
            metrics = self._saved.arrays.get("metrics")
        saver = Saver(self._run.saves, self.take, steps, metrics)
        shown = Progress(self._stage.name, self._run.epochs, steps)
        callbacks = [*callbacks, saver, *([shown] if self._run.verbose else [])]
        try:
            if step == steps:
                self._end_epoch(epoch, callbacks)
            elif step:
                # Keras makes the metrics' variables when it first needs them.
                self._evaluate(self._held.take(1))
                self._keras_fit(epoch, epoch + 1, step, steps, callbacks)
            if self._objective.stop_training:
                return
            epoch += bool(step)
            if epoch < end:
                self._keras_fit(epoch, end, 0, steps, callbacks)
        finally:
            shown.close()

    def _keras_fit(self, epoch, end, step, steps, callbacks) -> None:
        with retracing_is_meant():
            self._objective.fit(
                self._batches(epoch, step),
                steps_per_epoch=steps - step,
                initial_epoch=epoch,
                epochs=end,
                validation_data=self._held,
                callbacks=FromStep(callbacks, step, self._objective),
                shuffle=False,
                verbose=0,
            )

    def _end_epoch(self, epoch, callbacks) -> None:
        """Does what was left of an epoch when its steps were taken."""
        logs = self._saved.state["figures"] | self._evaluate(self._held, "val_")
        own = keras.callbacks.CallbackList(callbacks, model=self._objective)
        own.on_epoch_begin(epoch)
        own.on_epoch_end(epoch, logs)

    def _batches(self, epoch: int, step: int) -> tf.data.Dataset:
        """Training batches of the stage, from an epoch's step on."""
        run = self._run
        settings = {
            "seed": run.seed,
            "first_epoch": epoch,
            "first_step": step,
            "pad": run.pad,
            "whole": plan.learns_from_batch(self._stage),
        }
        if self._feed.train is not None:
            return self._feed.train.passes(**settings)
        return run.splits.train.passes(
            preprocess=run.model.preprocess,
            augment=Augment.of(self._stage.augment),
            **settings,
        )

    @functools.cached_property
    def _held(self) -> tf.data.Dataset:
        """Validation batches of the stage."""
        run = self._run
        if self._feed.held is not None:
            return self._feed.held.one_pass(pad=run.pad)
        return run.held
