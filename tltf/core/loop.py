"""The staged loop: one stage after another, and what lies between them."""

import keras
from absl import logging

from tltf.core import notes, progress
from tltf.core.cache.cache import FeatureCache
from tltf.core.history import History
from tltf.core.run import Run
from tltf.core.run_state import RunState
from tltf.core.saves import identity, renamed
from tltf.core.stage_loop import StageLoop
from tltf.core.watch import Watch


class StagedLoop:
    """One run over the stages.

    Args:
        model: Trained in place, in the strategy's scope.
        splits: Training and validation data.
        stages: What is done.
        strategy: In whose scope we are.
        cache: Where features of what is frozen may lie.
        seed: Of the order of examples, augmentation and dropout.
        saves: Where history, models and checkpoints are written.
        verbose: Shows progress.
    """

    def __init__(
        self, model, splits, stages, strategy, cache, seed, saves, verbose
    ):
        self._model, self._splits, self._stages = model, splits, stages
        self._seed, self._folder, self._verbose = seed, saves.folder, verbose
        self._replicas = strategy.num_replicas_in_sync
        self._saves = saves

        def show(steps, total):
            shown = progress.bar(steps, total) if verbose else steps
            return saves.interrupts.between(shown)

        self._cache = FeatureCache(
            model, splits, stages, cache, strategy, seed, show
        )

    def run(self, callbacks, resume: bool = False) -> Run:
        """Trains all stages, or what is left of them."""
        self._model.stop_training = False
        run = self._state(callbacks)
        run.seed_generators()
        run.users.on_train_begin()
        try:
            self._run_stages(run, resume)
            self._cache.tidy()
        finally:
            self._save_last(run)
            run.users.on_train_end()
            self._model.train_as(None)
            self._cache.close()
        return Run(
            self._model,
            run.history.figures,
            tuple(run.results),
            self._seed,
            tuple(run.history.rows),
        )

    def _state(self, callbacks) -> RunState:
        users = keras.callbacks.CallbackList(
            list(callbacks), model=self._model, add_history=False
        )
        run = RunState(
            self._model,
            self._splits,
            self._stages,
            self._seed,
            History(self._folder),
            users,
            self._saves,
            pad=self._replicas > 1,
            verbose=self._verbose,
        )
        steps = self._splits.train.steps
        users.set_params({"epochs": run.epochs, "steps": steps, "verbose": 0})
        return run

    def _run_stages(self, run: RunState, resume: bool) -> None:
        saved = self._saves.begin(
            identity(
                self._model,
                self._splits,
                self._stages,
                self._seed,
                self._replicas,
            ),
            resume,
        )
        if saved is not None:
            saved = renamed(saved, self._model)
            run.put_back(saved)
            logging.info(notes.on_resume(self._stages, saved.state))
        for number in range(len(run.results), len(self._stages)):
            self._run_stage(run, number, saved)
            saved = None
            if self._model.stop_training:
                left = self._stages[number + 1 :]
                if left:
                    logging.warning(notes.on_stop(self._stages[number], left))
                break

    def _run_stage(self, run, number, saved) -> None:
        stage = self._stages[number]
        self._model.unfreeze(stage.unfreeze, stage.batch_norm)
        loop = StageLoop(run, number, self._cache.feed(number), saved)
        result = loop.run()
        self._save_best(run, loop.watch)
        run.results.append(result)
        logging.info(notes.on_result(result))

    def _save_best(self, run: RunState, watch: Watch) -> None:
        if self._folder is None or watch.best_value >= run.best_loss:
            return
        run.best_loss = watch.best_value
        with watch.best.put_in_place():
            self._folder.save_model(self._model, "best.keras")

    def _save_last(self, run: RunState) -> None:
        if self._folder is not None and len(run.history):
            self._folder.save_model(self._model, "last.keras")
