"""The staged loop: freeze, compile, fit, prove, and carry on."""

import contextlib
import functools
import math
import time

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tltf.core import passes, plan, progress
from tltf.core.audit import Audit
from tltf.core.augment import Augment
from tltf.core.cache.cache import FeatureCache, Feed
from tltf.core.graph import batch_norms
from tltf.core.objective import Supervised
from tltf.core.optimizer import carry_over, make_optimizer
from tltf.core.progress import Progress
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
        self._history: dict[str, list[float]] = {}
        self._rows: list[dict] = []

    def run(self, callbacks) -> Run:
        """Trains all stages."""
        self._seed_generators()
        users = keras.callbacks.CallbackList(
            list(callbacks), model=self._model, add_history=False
        )
        users.set_params(
            {
                "epochs": sum(stage.epochs for stage in self._stages),
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
                    self._say_what_did_not_run(number, stage)
                    break
        finally:
            self._save_last()
            users.on_train_end()
            self._model.train_as(None)
            self._cache.close()
        return Run(
            self._model,
            self._history,
            tuple(results),
            self._seed,
            tuple(self._rows),
        )

    def _say_what_did_not_run(self, number: int, stage: Stage) -> None:
        left = [f"'{other.name}'" for other in self._stages[number + 1 :]]
        if left:
            logging.warning(
                "A callback stopped training in stage '%s'; %s did not run."
                " Stage(patience=...) stops one stage alone.",
                stage.name,
                ", ".join(left),
            )

    def _run_stage(self, number: int, stage: Stage, users) -> StageResult:
        started, first_epoch = time.perf_counter(), len(self._rows)
        self._model.unfreeze(stage.unfreeze, stage.batch_norm)
        self._synchronize_norms(stage)
        audit = Audit(self._model, stage)
        feed = self._cache.feed(number)
        objective = Supervised(
            self._model,
            stage,
            plan.class_weights(self._splits, stage),
            feed.start,
        )
        schedule = plan.schedule(
            self._stages, number, self._splits.train, self._step
        )
        carried = self._compile(objective, stage, schedule, audit)
        self._model.train_as(objective)
        audit.check_plan(objective.trainable_variables)
        moving = [
            v
            for v in self._model.variables
            if v.path in audit.expectation.moves
        ]
        watch = Watch(
            f"stage '{stage.name}'",
            moving,
            self._model.labels.monitor,
            stage.patience,
        )
        with audit:
            relay = Relay(
                users,
                lambda: audit.check_plan(objective.trainable_variables),
            )
            self._fit(objective, stage, feed, schedule, watch, relay)
        if stage.patience is not None and watch.best_epoch is not None:
            watch.best.restore()
        self._save_best(watch)
        result = StageResult(
            stage=stage,
            first_epoch=first_epoch,
            epochs=len(self._rows) - first_epoch,
            best_epoch=watch.best_epoch,
            blocks=audit.expectation.blocks,
            learned=len(audit.expectation.learns),
            carried=carried,
            still=len(audit.expectation.stays),
            silent=audit.silent,
            seconds=time.perf_counter() - started,
            notes=self._notes(stage, audit),
        )
        logging.info(
            "Stage '%s': %d epochs, %d variables learned, %d proved still, %d"
            " optimizer slots carried over, %.1f s.",
            stage.name,
            result.epochs,
            result.learned,
            result.still,
            result.carried,
            result.seconds,
        )
        return result

    def _compile(self, objective, stage, schedule, audit) -> int:
        """Compiles with an optimizer that goes on where the last one was."""
        optimizer = make_optimizer(stage.optimizer, plan.rate(schedule))
        step = self._step
        for path in audit.expectation.learns:
            self._first_steps.setdefault(path, step)
        optimizer.set_variables(
            plan.multipliers(self._model, stage),
            self._first_steps,
            stage.weight_decay,
        )
        optimizer.build(objective.trainable_variables)
        carried = carry_over(self._optimizer, optimizer)
        objective.prepare(optimizer)
        self._optimizer = optimizer
        self._model.optimizer = optimizer
        return carried

    def _fit(self, objective, stage, feed, schedule, watch, relay) -> None:
        first_epoch = len(self._rows)
        everything = sum(s.epochs for s in self._stages)
        callbacks = [
            watch,
            Recorder(stage.name, schedule, self._history, self._record),
            relay,
        ]
        steps = plan.steps(stage, self._splits.train)
        shown = Progress(stage.name, everything, steps)
        if self._verbose:
            callbacks.append(shown)
        try:
            with _retracing_is_meant():
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

    def _batches(self, feed: Feed, stage: Stage) -> tf.data.Dataset:
        """Training batches of a stage, from its first epoch on."""
        settings = {
            "seed": self._seed,
            "first_epoch": len(self._rows),
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

    def _notes(self, stage: Stage, audit: Audit) -> tuple[str, ...]:
        """Says what a user may not expect."""
        notes = []
        if audit.silent:
            notes.append(
                f"Stage '{stage.name}': no gradient reached"
                f" {', '.join(audit.silent)}."
            )
        has_norms = any(
            "moving_variance" in path for path in audit.expectation.stays
        )
        if has_norms and self._model.origin["weights"] is None:
            notes.append(
                f"Stage '{stage.name}': the backbone's weights are random,"
                " and its batch normalisation stays at its initial"
                " statistics. To train from scratch, use unfreeze='all' and"
                " batch_norm='train'."
            )
        return tuple(notes)

    def _synchronize_norms(self, stage: Stage) -> None:
        """Where statistics train on several replicas, they are one."""
        if self._pad and stage.batch_norm == "train":
            for layer in self._model.layers:
                for norm in batch_norms(layer):
                    norm.synchronized = True

    def _seed_generators(self) -> None:
        """Sets the state of dropout and its like from the run's seed."""
        states = [
            variable
            for variable in self._model.variables
            if variable.path.endswith("seed_generator_state")
        ]
        for i, state in enumerate(states):
            state.assign(np.array([self._seed, i], "uint32"))

    def _record(self, row: dict) -> None:
        self._rows.append(row)
        if self._folder is not None:
            self._folder.write_history(self._rows)

    def _save_best(self, watch: Watch) -> None:
        if self._folder is None or watch.best_value >= self._best_loss:
            return
        self._best_loss = watch.best_value
        with watch.best.put_in_place():
            self._folder.save_model(self._model, "best.keras")

    def _save_last(self) -> None:
        if self._folder is not None and self._rows:
            self._folder.save_model(self._model, "last.keras")


@contextlib.contextmanager
def _retracing_is_meant():
    """Keeps TensorFlow from warning that each stage traces a new step."""

    def is_other(record):
        return "triggered tf.function retracing" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
