"""The networks as Keras has them, and the weights that all start from."""

import importlib
import pathlib

import keras
import numpy as np

from benchmarks.peers import data
from benchmarks.peers.cases import CASES, Texts
from benchmarks.peers.task import CLASSES, SEED, Task

_WEIGHTS = "start.weights.h5"
_PRESET = "bert"
_CALIBRATED_ON = 16


def set_up(task: Task) -> None:
    """Sets seed and precision, before any layer is made."""
    keras.utils.set_random_seed(SEED)
    keras.config.set_dtype_policy(task.precision)


def weights_of(folder: pathlib.Path) -> str:
    """Returns the file of an application's weights."""
    return str(folder / _WEIGHTS)


def preset_of(folder: pathlib.Path) -> str:
    """Returns the preset folder of a text encoder."""
    return str(folder / _PRESET)


def write_start(task: Task, folder: pathlib.Path) -> None:
    """Writes random weights that stand for pretrained ones, once.

    tltf, the guide's script and the floor load the same file.
    """
    set_up(task)
    case = CASES[task.backbone]
    if isinstance(case, Texts):
        if not (folder / _PRESET).exists():
            bert(case).save_to_preset(preset_of(folder))
    elif not (folder / _WEIGHTS).exists():
        base = application(task, weights=None)
        (pictures, _), _ = data.make(task)
        pictures = pictures[:_CALIBRATED_ON].astype("float32")
        calibrate(base, preprocess_of(task)(pictures))
        base.save_weights(weights_of(folder))


def application(task: Task, weights: str | None) -> keras.Model:
    """Builds a network of `keras.applications` without its top."""
    make = getattr(keras.applications, CASES[task.backbone].network)
    shape = (task.image_size, task.image_size, 3)
    base = make(include_top=False, weights=weights, input_shape=shape)
    still(base)
    return base


def preprocess_of(task: Task):
    """Returns the function that Keras has for a network's pixels."""
    name = f"keras.applications.{CASES[task.backbone].module}"
    return importlib.import_module(name).preprocess_input


def bert(case: Texts) -> keras.Model:
    """Builds a text encoder of random weights, without dropout."""
    import keras_hub

    return keras_hub.models.BertBackbone(
        vocabulary_size=case.vocabulary,
        num_layers=case.layers,
        num_heads=case.heads,
        hidden_dim=case.width,
        intermediate_dim=case.inner_width,
        dropout=0.0,
        max_sequence_length=case.positions,
    )


def still(model: keras.Model) -> None:
    """Takes dropout out: drawn differently, it would hide what differs."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0


def norms(layer: keras.layers.Layer) -> list[keras.layers.BatchNormalization]:
    """Returns a layer's batch normalisation, itself or one level inside."""
    found = (layer, *vars(layer).values())
    kind = keras.layers.BatchNormalization
    return [inner for inner in found if isinstance(inner, kind)]


def calibrate(base: keras.Model, inputs: np.ndarray) -> None:
    """Gives batch normalisation the statistics of these inputs.

    With its initial ones, signals of a deep random network grow or vanish,
    and arithmetic on vanishing numbers is slow.
    """
    every = [norm for layer in base.layers for norm in norms(layer)]
    momenta = [norm.momentum for norm in every]
    for norm in every:
        norm.momentum = 0.0
    base(inputs, training=True)
    for norm, momentum in zip(every, momenta, strict=True):
        norm.momentum = momentum


def guide_network(
    task: Task, folder: pathlib.Path
) -> tuple[keras.Model, keras.Model]:
    """Builds the network as in Keras' guide to transfer learning.

    Returns:
        The base, and the model of preprocessing, base and a new head.
    """
    case = CASES[task.backbone]
    if isinstance(case, Texts):
        import keras_hub

        base = keras_hub.models.BertBackbone.from_preset(preset_of(folder))
        inputs = base.input
        features = base(inputs, training=False)["pooled_output"]
    else:
        base = application(task, weights_of(folder))
        inputs = keras.Input((task.image_size, task.image_size, 3))
        features = base(preprocess_of(task)(inputs), training=False)
        features = keras.layers.GlobalAveragePooling2D()(features)
    head = keras.layers.Dense(CLASSES, "softmax", dtype="float32")
    model = keras.Model(inputs, head(features))
    head.set_weights(data.head_weights(features.shape[-1]))
    return base, model
