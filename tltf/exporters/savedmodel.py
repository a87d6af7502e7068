"""Writes TensorFlow's SavedModel, from raw bytes or strings to names."""

import pathlib
import shutil
import tempfile
from collections.abc import Callable

import keras
import tensorflow as tf

from tltf.core.model import TransferModel

# The name of a signature's input is what a client writes; TensorFlow Serving
# takes base64 for names that end in `_bytes`.
_RAW_INPUT = {"image": "image_bytes", "text": "texts"}


def write(model: TransferModel, folder: pathlib.Path) -> None:
    """Writes a SavedModel that needs TensorFlow alone to run.

    Signatures:
        `serving_default`: encoded pictures `image_bytes` `[batch]`, or
            strings `texts` `[batch]`.
        `tensors`: what the model itself takes: pixels
            `[batch, height, width, channels]`, 0..255, or token arrays.

    Both give `label` `[batch]`, the most probable class's name, its
    `probability` `[batch]`, and `classes` and `probabilities`
    `[batch, classes]`; for regression `targets` and `values`.

    Args:
        model: A trained model.
        folder: Replaced, once the new one is whole.
    """
    if model.preprocess is None:
        raise ValueError(
            "The model has no `preprocess`, so it cannot be served from raw"
            " input. Set `model.preprocess`, such as to"
            " tltf.core.preprocess.ImagePreprocess(image_size)."
        )
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default", _raw(model), [_raw_spec(model.preprocess.kind)]
    )
    archive.add_endpoint("tensors", _tensors(model), [_tensor_spec(model)])
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = pathlib.Path(
        tempfile.mkdtemp(prefix=".writing-", dir=folder.parent)
    )
    try:
        archive.write_out(str(beside / "model"), verbose=False)
        _put_in_place(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _raw(model: TransferModel) -> Callable:
    preprocess = model.preprocess

    def serve(raw):
        if preprocess.is_batched:
            inputs = preprocess(raw)
        else:
            inputs = tf.map_fn(
                preprocess,
                raw,
                fn_output_signature=tf.TensorSpec(
                    model.input_shape[1:], tf.float32
                ),
            )
        return _answer(model, model(inputs, training=False))

    return serve


def _tensors(model: TransferModel) -> Callable:
    return lambda inputs: _answer(model, model(inputs, training=False))


def _answer(model: TransferModel, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
    names = tf.constant(model.classes)
    batch = tf.shape(outputs)[0]
    tiled = tf.tile(names[tf.newaxis], [batch, 1])
    if model.labels.kind == "regression":
        return {"targets": tiled, "values": outputs}
    probabilities = model.labels.probabilities(outputs)
    return {
        "label": tf.gather(names, tf.argmax(probabilities, axis=-1)),
        "probability": tf.reduce_max(probabilities, axis=-1),
        "classes": tiled,
        "probabilities": probabilities,
    }


def _raw_spec(kind: str) -> tf.TensorSpec:
    return tf.TensorSpec([None], tf.string, name=_RAW_INPUT[kind])


def _tensor_spec(model: TransferModel):
    return keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(
            tensor.shape, tensor.dtype, name=tensor.name
        ),
        model.input,
    )


def _put_in_place(beside: pathlib.Path, folder: pathlib.Path) -> None:
    """Swaps the new folder in, and keeps the old one until it is there."""
    if folder.exists():
        folder.rename(beside / "old")
    try:
        (beside / "model").rename(folder)
    except OSError:
        if (beside / "old").exists():
            (beside / "old").rename(folder)
        raise
