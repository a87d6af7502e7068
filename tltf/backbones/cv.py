"""KerasCV's backbones, one row each, through their explicit constructors.

KerasCV 0.9 is its last release. Its alias classes, such as
`ResNet18Backbone`, ask the network for their configuration even without
weights, so the configurations are here. CSPDarkNet is left out: its Lambda
layers make every file of a model of it refused by Keras' safe mode.
"""

import dataclasses

import keras

from tltf.backbones import files
from tltf.backbones.own import automatic_blocks
from tltf.core.backbone import Backbone
from tltf.core.preprocess import ImagePreprocess
from tltf.errors import UnavailableError, nearest


@dataclasses.dataclass(frozen=True)
class _Row:
    """How to build a network.

    Args:
        constructor: Class in `keras_cv.models`.
        arguments: Of its constructor.
        preset: KerasCV's preset with ImageNet's weights, if there is one.
    """

    constructor: str
    arguments: dict
    preset: str | None = None


def names() -> list[str]:
    """Names the networks."""
    return list(_TABLE)


def load(
    name: str, weights: str | None, image_size: tuple[int, int] | None
) -> Backbone:
    """Builds a network on raw pixels; dividing by 255 is inside.

    Args:
        name: Such as `ResNet18V2`.
        weights: `pretrained` or `imagenet`, the path of a `.weights.h5`, or
            None for random ones.
        image_size: Height and width; default 224.

    Raises:
        ValueError: There is no such network, or no such weights.
        UnavailableError: KerasCV or the weights cannot be had.
    """
    if name not in _TABLE:
        raise ValueError(
            f"KerasCV has no backbone {name!r}.{nearest(name, _TABLE)} There"
            f" are {', '.join(_TABLE)}."
        )
    row, size = _TABLE[name], image_size or (224, 224)
    source = f"cv:{name}"
    constructor = _constructor(row)
    if weights in ("imagenet", "pretrained"):
        network = _download(constructor, row, source, size)
        weights = "imagenet"
        loaded = True
    else:
        network = constructor(
            **row.arguments,
            input_shape=(*size, 3),
            input_tensor=keras.Input((*size, 3), name="image"),
            include_rescaling=True,
        )
        loaded = weights is None
    # A plain functional model: KerasCV's class reloads only with KerasCV.
    model = keras.Model(network.input, network.output, name=network.name)
    if not loaded:
        files.load_weights(model, weights, source)
    return Backbone(
        model, automatic_blocks(model), source, weights, ImagePreprocess(size)
    )


def _constructor(row):
    try:
        import keras_cv
    except ImportError as error:
        raise UnavailableError(
            "Backbones of source 'cv' need KerasCV: pip install keras-cv"
        ) from error
    return getattr(keras_cv.models, row.constructor)


def _download(constructor, row, source, size):
    if row.preset is None:
        having = [name for name, other in _TABLE.items() if other.preset]
        raise ValueError(
            f"KerasCV has no pretrained weights for {source}; give"
            f" weights=None or a path, or take one of {', '.join(having)}."
        )
    try:
        with files.patience():
            return constructor.from_preset(
                row.preset, load_weights=True, input_shape=(*size, 3)
            )
    except OSError as error:
        raise UnavailableError(
            f"KerasCV's preset {row.preset!r} is not on this machine and"
            f" cannot be fetched ({type(error).__name__}:"
            f" {str(error)[:200]}). On a machine with network, load it once"
            " and copy ~/.cache/kagglehub here, or give `weights` a path or"
            " None."
        ) from error


def _residual(constructor, blocks, block_type, preset=None):
    arguments = {
        "stackwise_filters": [64, 128, 256, 512],
        "stackwise_blocks": blocks,
        "stackwise_strides": [1, 2, 2, 2],
        "block_type": block_type,
    }
    return _Row(constructor, arguments, preset)


def _dense(repeats, preset):
    arguments = {"stackwise_num_repeats": repeats}
    return _Row("DenseNetBackbone", arguments, preset)


_TABLE = {
    "ResNet18": _residual("ResNetBackbone", [2, 2, 2, 2], "basic_block"),
    "ResNet34": _residual("ResNetBackbone", [3, 4, 6, 3], "basic_block"),
    "ResNet50": _residual(
        "ResNetBackbone", [3, 4, 6, 3], "block", "resnet50_imagenet"
    ),
    "ResNet101": _residual("ResNetBackbone", [3, 4, 23, 3], "block"),
    "ResNet152": _residual("ResNetBackbone", [3, 8, 36, 3], "block"),
    "ResNet18V2": _residual("ResNetV2Backbone", [2, 2, 2, 2], "basic_block"),
    "ResNet34V2": _residual("ResNetV2Backbone", [3, 4, 6, 3], "basic_block"),
    "ResNet50V2": _residual(
        "ResNetV2Backbone", [3, 4, 6, 3], "block", "resnet50_v2_imagenet"
    ),
    "ResNet101V2": _residual("ResNetV2Backbone", [3, 4, 23, 3], "block"),
    "ResNet152V2": _residual("ResNetV2Backbone", [3, 8, 36, 3], "block"),
    "DenseNet121": _dense([6, 12, 24, 16], "densenet121_imagenet"),
    "DenseNet169": _dense([6, 12, 32, 32], "densenet169_imagenet"),
    "DenseNet201": _dense([6, 12, 48, 32], "densenet201_imagenet"),
}
