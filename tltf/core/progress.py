"""Shows a training run: a bar on a terminal, one line an epoch."""

import contextlib
from collections.abc import Iterator

import keras
import rich.console
import rich.progress

# What is shown, of training and then of validation.
_FIGURES = ("loss", "accuracy", "mae")


class Progress(keras.callbacks.Callback):
    """A bar over the steps of an epoch, and a line when it is done.

    Args:
        stage: Name of the stage.
        epochs: Number of epochs of all stages.
        steps: Steps of an epoch.
    """

    def __init__(self, stage: str, epochs: int, steps: int):
        super().__init__()
        self._stage, self._epochs, self._steps = stage, epochs, steps
        self._console = rich.console.Console()
        self._bar = None
        self._task = None

    def on_train_begin(self, logs=None):
        """Opens the bar, on a terminal."""
        if self._console.is_terminal:
            self._bar = _bar(self._console)
            self._bar.start()

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the bar anew."""
        if self._bar is not None:
            title = f"{self._stage} epoch {epoch + 1}/{self._epochs}"
            self._task = self._bar.add_task(title, total=self._steps)

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def on_epoch_end(self, epoch, logs=None):
        """Prints the epoch's line."""
        if self._bar is not None:
            self._bar.remove_task(self._task)
        self._console.print(
            f"{self._stage[:12]:<12} {epoch + 1:>3}/{self._epochs:<3} "
            f"train {_figures(logs, '')}  val {_figures(logs, 'val_')}",
            highlight=False,
            soft_wrap=True,
        )

    def on_train_end(self, logs=None):
        """Closes the bar."""
        self.close()

    def close(self) -> None:
        """Closes the bar, also after an error."""
        if self._bar is not None:
            with contextlib.suppress(Exception):
                self._bar.stop()
            self._bar = None


def bar(steps: Iterator, total: int) -> Iterator:
    """Shows a bar over an iterator while it goes, on a terminal.

    Args:
        steps: What to go through.
        total: How many there are.
    """
    console = rich.console.Console()
    if not console.is_terminal:
        yield from steps
        return
    with _bar(console) as shown:
        task = shown.add_task("features of the frozen part", total=total)
        for step in steps:
            yield step
            shown.advance(task)


def _bar(console: rich.console.Console) -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _figures(logs: dict, prefix: str) -> str:
    """Writes the figures of one part, within 25 columns."""
    short = {"accuracy": "acc"}
    return "  ".join(
        f"{short.get(name, name)} {float(logs[prefix + name]):.3f}"
        for name in _FIGURES
        if prefix + name in logs
    )
