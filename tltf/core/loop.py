"""The staged loop: freeze, compile, fit, prove, and carry on."""

import functools
import math
import time

import keras
import tensorflow as tf
from absl import logging

from tltf.core import notes, passes, plan, probe, progress
from tltf.core import strategy as strategies
from tltf.core.audit import Audit
from tltf.core.augment import Augment
from tltf.core.cache.cache import FeatureCache
from tltf.core.cache.feed import Feed
from tltf.core.history import History
from tltf.core.objective import Supervised, retracing_is_meant
from tltf.core.optimizer import carry_over, make_optimizer, with_loss_scale
from tltf.core.progress import Progress
from tltf.core.random_state import seed_generators
from tltf.core.run import Run, StageResult
from tltf.core.stage import Stage
from tltf.core.watch import Recorder, Relay, Watch


class StagedLoop:
    """One run over the stages; what must survive a stage lives here.

    Args:
        model: Trained in place, in the strategy's scope.
        splits: Training and validation data.
        stages: What is done.
        strategy: In whose scope we are.
        cache: Where features of what is frozen may lie.
        seed: Of the order of examples, augmentation and dropout.
        folder: Where history and models are written; None for nowhere.
        verbose: Shows progress.
    """

    def __init__(
        self, model, splits, stages, strategy, cache, seed, folder, verbose
    ):
        self._model, self._splits, self._stages = model, splits, stages
        self._seed, self._folder, self._verbose = seed, folder, verbose
        self._pad = strategy.num_replicas_in_sync > 1
        self._cache = FeatureCache(
            model,
            splits,
            stages,
            cache,
            strategy,
            seed,
            **({"show": progress.bar} if verbose else {}),
        )
        self._optimizer = None
        self._first_steps: dict[str, int] = {}
        self._best_loss = math.inf
        self._history = History(folder)

    def run(self, callbacks) -> Run:
        """Trains all stages."""
        seed_generators(self._model, self._seed)
        users = keras.callbacks.CallbackList(
            list(callbacks), model=self._model, add_history=False
        )
        users.set_params(
            {
                "epochs": self._epochs,
                "steps": self._splits.train.steps,
                "verbose": 0,
            }
        )
        self._model.stop_training = False
        results = []
        users.on_train_begin()
        try:
            for number, stage in enumerate(self._stages):
                results.append(self._run_stage(number, stage, users))
                if self._model.stop_training:
                    left = self._stages[number + 1 :]
                    if left:
                        logging.warning(notes.on_stop(stage, left))
                    break
            self._cache.tidy()
        finally:
            self._save_last()
            users.on_train_end()
            self._model.train_as(None)
            self._cache.close()
        return Run(
            self._model,
            self._history.figures,
            tuple(results),
            self._seed,
            tuple(self._history.rows),
        )

    def _run_stage(self, number: int, stage: Stage, users) -> StageResult:
        started, first_epoch = time.perf_counter(), len(self._history)
        self._model.unfreeze(stage.unfreeze, stage.batch_norm)
        if self._pad and plan.learns_from_batch(stage):
            strategies.synchronize_norms(self._model)
        audit = Audit(self._model, stage)
        feed = self._cache.feed(number)
        objective = Supervised(
            self._model,
            stage,
            plan.class_weights(self._splits, stage),
            feed.start,
        )
        self._model.train_as(objective)
        watch = self._watch(stage, audit)
        why = probe.reason_for_steps(self._model, stage, feed, objective)
        if why is None:
            # Solved again, a head may come out as it was.
            audit.allow_rest()
        with audit:
            if why is None:
                carried = 0
                how = self._solve(objective, stage, feed, watch, users)
            else:
                carried = self._train(
                    number, objective, feed, audit, watch, users
                )
                how = notes.on_feed(stage, feed, why)
        if stage.patience is not None and watch.best_epoch is not None:
            watch.best.restore()
        self._save_best(watch)
        result = StageResult(
            stage=stage,
            first_epoch=first_epoch,
            epochs=len(self._history) - first_epoch,
            best_epoch=watch.best_epoch,
            blocks=audit.expectation.blocks,
            learned=len(audit.expectation.learns),
            carried=carried,
            still=len(audit.expectation.stays),
            silent=audit.silent,
            seconds=time.perf_counter() - started,
            cached=feed.train is not None,
            solved=why is None,
            notes=(how, *notes.on_audit(self._model, stage, audit)),
        )
        logging.info(notes.on_result(result))
        return result

    def _watch(self, stage, audit) -> Watch:
        moving = [
            variable
            for variable in self._model.variables
            if variable.path in audit.expectation.moves
        ]
        return Watch(
            f"stage '{stage.name}'",
            moving,
            self._model.labels.monitor,
            stage.patience,
        )

    def _solve(self, objective, stage, feed, watch, users) -> str:
        """Solves the head, which counts as one epoch.

        Returns:
            How it was solved.
        """
        epoch = len(self._history)
        users.on_epoch_begin(epoch)
        started = time.perf_counter()
        solution = probe.solve_head(
            self._model, feed, plan.class_weights(self._splits, stage)
        )
        objective.prepare(make_optimizer(stage.optimizer, stage.learning_rate))
        logs = {}
        for prefix, source in (("", feed.train), ("val_", feed.held)):
            figures = objective.evaluate(
                source.one_pass(pad=self._pad), return_dict=True, verbose=0
            )
            logs |= {prefix + name: value for name, value in figures.items()}
        watch.on_epoch_end(epoch, logs)
        shown = Progress(stage.name, self._epochs, 1)
        if self._verbose:
            shown.on_epoch_end(epoch, logs)
        seconds = time.perf_counter() - started
        self._history.add(stage.name, logs, 0.0, seconds)
        users.on_epoch_end(epoch, logs)
        return notes.on_solution(stage, solution, self._model.labels)

    def _train(self, number, objective, feed, audit, watch, users) -> int:
        """Compiles with an optimizer that goes on where the last was, fits.

        Returns:
            How many slots the optimizer took over.
        """
        stage, step = self._stages[number], self._step
        schedule = plan.schedule(self._stages, number, self._splits.train, step)
        optimizer = make_optimizer(stage.optimizer, plan.rate(schedule))
        for path in audit.expectation.learns:
            self._first_steps.setdefault(path, step)
        optimizer.set_variables(
            plan.multipliers(self._model, stage),
            self._first_steps,
            stage.weight_decay,
        )
        optimizer = with_loss_scale(optimizer, self._model.precision)
        optimizer.build(objective.trainable_variables)
        carried = carry_over(self._optimizer, optimizer)
        objective.prepare(optimizer)
        self._optimizer = optimizer
        self._model.optimizer = optimizer

        def check():
            audit.check_plan(objective.trainable_variables)

        check()
        recorder = Recorder(stage.name, schedule, self._history)
        callbacks = [watch, recorder, Relay(users, check)]
        self._fit(objective, stage, feed, callbacks)
        return carried

    def _fit(self, objective, stage, feed, callbacks) -> None:
        first_epoch = len(self._history)
        steps = plan.steps(stage, self._splits.train)
        shown = Progress(stage.name, self._epochs, steps)
        if self._verbose:
            callbacks = [*callbacks, shown]
        try:
            with retracing_is_meant():
                objective.fit(
                    self._batches(feed, stage),
                    steps_per_epoch=steps,
                    initial_epoch=first_epoch,
                    epochs=first_epoch + stage.epochs,
                    validation_data=self._held(feed),
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
        finally:
            shown.close()

    @property
    def _epochs(self) -> int:
        """How many epochs all stages have."""
        return sum(stage.epochs for stage in self._stages)

    def _batches(self, feed: Feed, stage: Stage) -> tf.data.Dataset:
        """Training batches of a stage, from its first epoch on."""
        settings = {
            "seed": self._seed,
            "first_epoch": len(self._history),
            "pad": self._pad,
            "whole": plan.learns_from_batch(stage),
        }
        if feed.train is not None:
            return feed.train.passes(**settings)
        return self._splits.train.passes(
            preprocess=self._model.preprocess,
            augment=Augment.of(stage.augment),
            **settings,
        )

    def _held(self, feed: Feed) -> tf.data.Dataset:
        """Validation batches of a stage."""
        if feed.held is not None:
            return feed.held.one_pass(pad=self._pad)
        return self._held_examples

    @functools.cached_property
    def _held_examples(self) -> tf.data.Dataset:
        return passes.remembered(
            self._splits.validation.one_pass(
                preprocess=self._model.preprocess, pad=self._pad
            )
        )

    @property
    def _step(self) -> int:
        """How many steps were taken so far."""
        if self._optimizer is None:
            return 0
        return int(self._optimizer.iterations.numpy())

    def _save_best(self, watch: Watch) -> None:
        if self._folder is None or watch.best_value >= self._best_loss:
            return
        self._best_loss = watch.best_value
        with watch.best.put_in_place():
            self._folder.save_model(self._model, "best.keras")

    def _save_last(self) -> None:
        if self._folder is not None and len(self._history):
            self._folder.save_model(self._model, "last.keras")
