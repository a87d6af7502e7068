"""The folder of a run: what lies in it, written so that it is whole."""

import contextlib
import csv
import io
import json
import os
import pathlib
import socket
import time
from collections.abc import Iterator, Sequence

import filelock
import keras

from tltf.core.checkpoints import Checkpoints
from tltf.core.files import WRITING, whole

# What a run leaves in its folder, beside `export/`.
_FILES = (
    "status.json",
    "settings.yaml",
    "environment.json",
    "labels.json",
    "split.json",
    "history.csv",
    "best.keras",
    "last.keras",
    "report.html",
    "report.json",
)
_LOCK = ".lock"


class RunFolder:
    """Writes the files of a run, each whole or not at all.

    Args:
        path: Made if it is not there.

    Raises:
        OSError: It cannot be made or written.
    """

    def __init__(self, path: str | pathlib.Path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    @property
    def checkpoints(self) -> pathlib.Path:
        """Where an unfinished run is saved."""
        return self.path / "checkpoints"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes out; that of a process that died is void.

        Raises:
            FileExistsError: Another process writes to it.
        """
        path = self.path / _LOCK
        lock = filelock.FileLock(path, timeout=0, is_singleton=True)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise FileExistsError(
                f"{self.path} is being written to by {path.read_text()}. Wait"
                " for it, or name another folder."
            ) from None
        try:
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
            yield
        finally:
            lock.release()

    def claim(
        self, overwrite: bool = False, resume: bool = False
    ) -> "RunFolder":
        """Makes it ready for a run.

        Args:
            overwrite: Whether a run that is there is replaced.
            resume: Whether an unfinished one is gone on with.

        Raises:
            FileExistsError: A finished run is in it, or one that can be
                resumed, and `overwrite` is not set; or files that no run has
                left, whatever is set.
        """
        is_run = (self.path / "status.json").exists()
        others = {path.name for path in self.path.iterdir()} - {_LOCK}
        if others and not is_run:
            raise FileExistsError(
                f"{self.path} holds files that no run has left, such as"
                f" '{min(others)}'. Name a folder that is empty or new."
            )
        if self.is_finished and not overwrite:
            raise FileExistsError(
                f"{self.path} holds a finished run. Name another folder, or"
                " set `overwrite`."
            )
        if resume:
            return self
        checkpoints = Checkpoints(self.checkpoints)
        if checkpoints and not overwrite:
            raise FileExistsError(
                f"{self.path} holds a run that was stopped. Set `resume` to go"
                " on with it, or `overwrite` to begin anew."
            )
        checkpoints.clear()
        for name in _FILES:
            (self.path / name).unlink(missing_ok=True)
        for path in self.path.glob(f"{WRITING}*"):
            path.unlink()
        return self

    @contextlib.contextmanager
    def status(self) -> Iterator[None]:
        """Keeps `status.json` true while a run goes on and when it ends."""
        started = _now()

        def write(state, **more):
            self.write_json(
                "status.json",
                {"state": state, "started": started, "updated": _now()} | more,
            )

        write("running", pid=os.getpid())
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            write("interrupted")
            raise
        except BaseException as error:
            write("failed", error=f"{type(error).__name__}: {error}")
            raise
        write("finished")

    @property
    def is_finished(self) -> bool:
        """Whether a run in it came to its end."""
        return self.read_json("status.json").get("state") == "finished"

    def read_json(self, name: str) -> dict:
        """Returns a file's content; empty if it is not there."""
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except FileNotFoundError:
            return {}

    def write_json(self, name: str, content) -> None:
        """Writes plain data, readable by people."""
        text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        self.write_text(name, text + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes UTF-8 text."""
        with whole(self.path / name) as path:
            path.write_text(text, "utf-8")

    def write_history(self, rows: Sequence[dict]) -> None:
        """Writes `history.csv`, a row for each epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        self.write_text("history.csv", text.getvalue())

    def save_model(self, model: keras.Model, name: str) -> None:
        """Saves a model for use, without the state of its optimizer.

        Keras 3.15 saves an optimizer that the model holds whatever
        `include_optimizer` says.
        """
        optimizer = getattr(model, "optimizer", None)
        try:
            model.optimizer = None
            with whole(self.path / name) as path:
                model.save(path)
        finally:
            model.optimizer = optimizer


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
