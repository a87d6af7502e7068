"""Finds and loads the model that a run left."""

import os
import pathlib
import shlex

from absl import flags

from tltf.errors import nearest
from tltf.scripts.parsers import TEXT

FLAGS = {
    "model_dir": ("Run folder of `tltf train` or `tltf demo`.", TEXT),
    "model": ("Instead of it: a .keras file that tltf saved.", TEXT),
}

_FILE = "last.keras"


def find(given: flags.FlagValues) -> pathlib.Path:
    """Returns the file that the flags name; needs no TensorFlow.

    Args:
        given: A command's flags, those of `FLAGS` among them.

    Raises:
        ValueError: There is none.
    """
    if (given.model_dir is None) == (given.model is None):
        raise ValueError(
            "Name one trained model: --model_dir=runs/flowers, the folder of"
            " a run, or --model=flowers.keras, a file."
        )
    if given.model:
        path = pathlib.Path(given.model)
        if not path.is_file():
            raise ValueError(f"There is no file {path} (`--model`).")
        return path
    folder = pathlib.Path(given.model_dir)
    path = folder / _FILE
    if path.is_file():
        return path
    if folder.is_dir():
        raise ValueError(
            f"There is no {_FILE} in {folder} (`--model_dir`): it is no run"
            " folder, or its training has not come so far."
        )
    raise ValueError(
        f"There is no run folder {folder} (`--model_dir`).{_guess(folder)}"
    )


def load(path: pathlib.Path):
    """Loads a model. Keras refuses a file with code in it.

    Args:
        path: A .keras file.

    Returns:
        A `TransferModel`.

    Raises:
        ValueError: It is no model of tltf's.
    """
    import keras

    from tltf.core.model import TransferModel

    try:
        model = keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ValueError(f"{path} cannot be loaded: {error}") from error
    if not isinstance(model, TransferModel):
        raise ValueError(
            f"{path} holds a {type(model).__name__}, not a model that tltf"
            " saved: it knows no class names."
        )
    return model


def named(given: flags.FlagValues) -> str:
    """Returns the flag that named the model, for the line to type next."""
    if given.model_dir:
        return f"--model_dir={shlex.quote(given.model_dir)}"
    return f"--model={shlex.quote(given.model)}"


def _guess(folder: pathlib.Path) -> str:
    parent = folder.parent
    beside = os.listdir(parent) if parent.is_dir() else []
    paths = [str(parent / name) for name in beside]
    return nearest(str(folder), paths)
