"""The demo: does a backbone of the digits 0-4 help to learn 5-9?"""

import dataclasses
import pathlib
import time

import keras
import numpy as np
import rich.console
import rich.progress

from tltf import backbones, datasets, records
from tltf.core import recipes
from tltf.core.fit import fit
from tltf.core.model import TransferModel
from tltf.core.run_folder import RunFolder
from tltf.core.splits import Splits
from tltf.core.stage import Stage
from tltf.exporters import export
from tltf.flow import measure
from tltf.reports import plots
from tltf.reports.report import Report
from tltf.transferability import curves

# Each arm: the backbone's name, its weights, and the recipe. The recipes take
# the same number of steps. Scratch has the better of the rates 2e-3 and 4e-3.
_BATCH_SIZE = 8
_HEAD_EPOCHS, _EPOCHS = 10, 20
_TRANSFER = recipes.lp_ft(
    _HEAD_EPOCHS, _EPOCHS, head_learning_rate=1e-2, learning_rate=1e-3
)
_ARMS: dict[str, tuple[str, str | None, tuple[Stage, ...]]] = {
    "transfer": ("demo:digits_0_4", "pretrained", _TRANSFER),
    "scratch": (
        "demo:digits_0_4",
        None,
        recipes.fine_tune(_HEAD_EPOCHS + _EPOCHS, 2e-3),
    ),
    "control": ("demo:digits_0_4_shuffled", "pretrained", _TRANSFER),
}


@dataclasses.dataclass(frozen=True)
class Demo:
    """What the demo leaves.

    Args:
        report: Of the transfer arm with the first seed, with the comparison
            of the arms over all seeds.
        model_dir: The run folder.
        page: The report's page in it.
        rows: The comparison, a dict for each arm.
    """

    report: Report
    model_dir: pathlib.Path
    page: pathlib.Path
    rows: list[dict]

    def summary(self) -> str:
        """Returns the comparison as a few lines for the terminal."""
        return "\n".join([_header(), *map(_line, self.rows), "", *self._said()])

    def _said(self) -> list[str]:
        return [row["sentence"] for row in self.rows if row["differences"]]


def run(
    model_dir: str | pathlib.Path,
    *,
    seeds: int = 3,
    overwrite: bool = False,
    verbose: bool = False,
) -> Demo:
    """Trains three arms over some seeds and compares their curves.

    The target task is to tell the handwritten digits 5-9 on a cluttered
    canvas, with ten labelled pictures a class. The arms have the same head,
    the same data and the same number of steps; they differ in what the
    backbone knows: the digits 0-4 (`transfer`), nothing (`scratch`), or
    what labels that say nothing teach about the same pictures (`control`).

    Args:
        model_dir: Run folder; the model in it is that of the transfer arm and
            the first seed.
        seeds: How many draws of data and initial weights.
        overwrite: Whether a finished run in `model_dir` is replaced.
        verbose: Shows a progress bar on a terminal.
    """
    if seeds < 1:
        raise ValueError(f"`seeds` must be 1 or more. Received: {seeds}")
    folder = RunFolder(model_dir).claim(overwrite)
    accuracy = {arm: [] for arm in _ARMS}
    started = time.perf_counter()
    with folder.status(), _Bar(seeds * len(_ARMS), verbose) as bar:
        for seed in range(seeds):
            splits = _splits(seed)
            for arm in _ARMS:
                is_kept = arm == "transfer" and seed == 0
                model, history = _train(arm, splits, seed)
                accuracy[arm].append(history.history["val_accuracy"])
                if is_kept:
                    kept = model, splits, history
                bar.advance(f"{arm}, seed {seed}")
        rows = curves.compare(accuracy)
        report = _report(*kept, accuracy, rows, seeds, started)
        page = report.save(folder.path)
        shown = report.comparison
        folder.write_text(
            "curves.svg",
            _on_white(plots.arms(shown["curves"], shown["measure"])),
        )
        # No best.keras: it would be the best on the test digits.
        folder.write_history(kept[2].rows)
        folder.save_model(kept[0], "last.keras")
        records.write_facts(folder, kept[0], kept[1])
        folder.write_text("settings.yaml", f"# tltf demo --seeds={seeds}\n")
        export(kept[0], folder.path / "export" / "1", overwrite=True)
    return Demo(report, folder.path, page, rows)


def _splits(seed: int) -> Splits:
    """Measures on the test digits after each epoch.

    Nothing is chosen by these figures, so they may be those of the report.
    """
    splits = datasets.load("demo:digits", batch_size=_BATCH_SIZE, seed=seed)
    measured = dataclasses.replace(splits.test, batch_size=len(splits.test))
    return dataclasses.replace(
        splits, validation=measured, test=measured, notes=()
    )


def _train(arm, splits, seed):
    name, weights, recipe = _ARMS[arm]
    keras.utils.set_random_seed(seed)
    backbone = backbones.load(name, weights=weights)
    model = TransferModel(backbone, splits.labels)
    return model, fit(model, splits, recipe=recipe, seed=seed)


def _report(model, splits, history, accuracy, rows, seeds, started) -> Report:
    report = measure(model, splits, history)
    labelled = len(splits.train) // len(splits.classes)
    return dataclasses.replace(
        report,
        comparison={
            "measure": "test accuracy",
            "curves": {
                arm: curves.band(np.array(values))
                for arm, values in accuracy.items()
            },
            "rows": rows,
            "first_epoch": 1,
        },
        notes=[
            *report.notes,
            f"Three arms over {seeds} seeds, with {labelled} labelled pictures"
            " a class. 'transfer' begins from a backbone trained on the digits"
            " 0-4, 'scratch' from random weights, 'control' from a backbone"
            " trained on the digits 0-4 with shuffled labels.",
        ],
        facts={
            **report.facts,
            "demo": "tltf demo",
            "seconds": round(time.perf_counter() - started, 1),
        },
    )


def _on_white(svg: str) -> str:
    """Makes a drawing of the page a picture of its own."""
    return svg.replace("<svg ", '<svg style="background: #fff" ', 1)


def _header() -> str:
    names = "".join(f"{name:>22}" for name in curves.MEASURES)
    return f"{'arm':<10}{names}"


def _line(row: dict) -> str:
    cells = "".join(f"{_percent(row[name]):>22}" for name in curves.MEASURES)
    return f"{row['arm']:<10}{cells}"


def _percent(figure: dict) -> str:
    text = f"{figure['value']:.1%}"
    if figure["low"] is None:
        return text
    low, high = max(figure["low"], 0.0), min(figure["high"], 1.0)
    return f"{text} ({100 * low:.1f} to {100 * high:.1f})"


class _Bar:
    """A progress bar over the arms, if one is wanted."""

    def __init__(self, total: int, is_shown: bool):
        console = rich.console.Console(stderr=True)
        self._bar = rich.progress.Progress(
            console=console, disable=not is_shown, transient=True
        )
        self._task = self._bar.add_task("transfer, seed 0", total=total)

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *_):
        self._bar.stop()

    def advance(self, done: str) -> None:
        self._bar.update(self._task, advance=1, description=done)
