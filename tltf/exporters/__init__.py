"""Writes a trained model for use elsewhere: one format, one file."""

import pathlib

from tltf.core.model import TransferModel
from tltf.errors import nearest
from tltf.exporters import savedmodel

_FORMATS = {"savedmodel": savedmodel.write}


def export(
    model: TransferModel,
    folder: str | pathlib.Path,
    *,
    format: str = "savedmodel",
    overwrite: bool = False,
) -> pathlib.Path:
    """Writes a model so that it can be served without tltf or Keras.

    Args:
        model: A trained `TransferModel`.
        folder: Is made. TensorFlow Serving wants a number as its last part:
            `serving/flowers/1`.
        format: `"savedmodel"`.
        overwrite: Whether a folder that is there is replaced. It is, only
            once the new one is whole.

    Returns:
        The folder.

    Raises:
        ValueError: There is no such format, or the model takes no raw input.
        FileExistsError: The folder is there, and `overwrite` is not set.

    Example:
    >>> tltf.export(model, "serving/flowers/1")
    """
    if format not in _FORMATS:
        raise ValueError(
            f"`format` must be one of {list(_FORMATS)}."
            f" Received: {format!r}.{nearest(format, _FORMATS)}"
        )
    folder = pathlib.Path(folder)
    if folder.exists() and not overwrite:
        raise FileExistsError(
            f"{folder} is there already. Name another folder, or set"
            " `overwrite`."
        )
    _FORMATS[format](model, folder)
    return folder
