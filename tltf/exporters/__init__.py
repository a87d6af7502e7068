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
        overwrite: Whether an export that is there is replaced, once the new
            one is whole. A folder with anything else in it never is.

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
    _check_free(folder, overwrite)
    _FORMATS[format](model, folder)
    return folder


# What an export consists of. It is replaced whole, so it must be all there is.
_OWN_FILES = {
    "assets",
    "fingerprint.pb",
    "keras_metadata.pb",
    "saved_model.pb",
    "variables",
}


def _check_free(folder: pathlib.Path, overwrite: bool) -> None:
    if not folder.exists():
        return
    inside = (
        {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    )
    strangers = sorted(inside - _OWN_FILES)
    if strangers:
        raise FileExistsError(
            f"{folder} holds what is no export, such as"
            f" '{strangers[0] or folder.name}', and is not replaced. Name"
            " another folder."
        )
    if inside and not overwrite:
        raise FileExistsError(
            f"{folder} is there already. Name another folder, or set"
            " `overwrite`."
        )
