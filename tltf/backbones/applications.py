"""The networks of `keras.applications`, one row each."""

import dataclasses
import re
from collections.abc import Callable

import keras
from keras import applications

from tltf.backbones import files
from tltf.core.backbone import Backbone, Block, layers_of
from tltf.core.graph import trace
from tltf.core.preprocess import ImagePreprocess
from tltf.errors import UnavailableError, nearest

# ImageNet's mean and standard deviation, RGB, as Keras has them.
_CAFFE_MEAN = (123.68, 116.779, 103.939)
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class _Row:
    """What `keras.applications` does not tell of a network.

    Args:
        normalisation: `caffe` (BGR, mean subtracted), `tf` (-1..1), `torch`
            (mean and deviation), `inside` (the network does it itself) or
            `inside_more` (and does more of it with ImageNet's weights).
        blocks: Maps the model to its blocks.
        image_size: Side in pixels that the weights were trained for.
        smallest: Smallest side that Keras takes.
        weights_file: Name under which Keras stores the weights, where it is
            not the last part of their address.
    """

    normalisation: str
    blocks: Callable[[keras.Model], tuple[Block, ...]]
    image_size: int = 224
    smallest: int = 32
    weights_file: str | None = None


def names() -> list[str]:
    """Names the networks."""
    return list(_TABLE)


def load(
    name: str, weights: str | None, image_size: tuple[int, int] | None
) -> Backbone:
    """Builds one of the networks, from raw pixels 0..255 to a feature map.

    Args:
        name: The constructor's name, such as `ResNet50`.
        weights: `imagenet` or, the same, `pretrained`; the path of a
            `.weights.h5` of the same network without its top; or None for
            random ones.
        image_size: Height and width; default, what it was trained for.

    Raises:
        ValueError: No such network or file, or the size is too small.
        UnavailableError: The weights are not here and cannot be fetched.
    """
    if name not in _TABLE:
        raise ValueError(
            f"keras.applications has no network {name!r}."
            f"{nearest(name, _TABLE)} There are {', '.join(_TABLE)}."
        )
    row = _TABLE[name]
    size = image_size or (row.image_size, row.image_size)
    if min(size) < row.smallest:
        raise ValueError(
            f"`image_size` of {name} must be at least {row.smallest} pixels"
            f" a side. Received: {size}"
        )
    source = f"applications:{name}"
    if weights in ("imagenet", "pretrained"):
        weights = "imagenet"
        model = _download(name, row, size)
    else:
        model = _build(name, row, size, weights=None)
        if weights is not None:
            files.load_weights(model, weights, source)
    return Backbone(
        model, row.blocks(model), source, weights, ImagePreprocess(size)
    )


def _download(name, row, size):
    """Builds a network with ImageNet's weights, fetching them if need be."""
    try:
        with files.patience():
            return _build(name, row, size, weights="imagenet")
    except Exception as error:
        # Keras raises a bare Exception with the address in it, or the
        # socket's TimeoutError.
        address = re.search(r"https?://\S+?\.h5", str(error))
        if address is None and not isinstance(error, OSError):
            raise
        url = address[0] if address else "what Keras asked for"
        file = row.weights_file or url.rsplit("/")[-1]
        raise UnavailableError(
            f"The ImageNet weights of {name} are not on this machine and"
            f" cannot be fetched ({error}). Put {url} into the folder"
            f" ~/.keras/models as {file}, or give `weights` the path of a"
            " .weights.h5 file, or None for random weights."
        ) from error


def _build(name, row, size, weights):
    image = keras.Input((*size, 3), name="image")
    model = getattr(applications, name)(
        include_top=False,
        weights=weights,
        input_tensor=_NORMALISATIONS[row.normalisation](image),
        input_shape=(*size, 3),
    )
    # Keras makes the input a list of one where it got an `input_tensor`.
    model = keras.Model(image, model.output, name=model.name)
    if row.normalisation == "inside_more" and weights is None:
        model = _like_imagenet(model)
    return model


def _like_imagenet(model):
    """Puts in the layer that EfficientNet has with ImageNet's weights alone.

    Keras builds it with that layer only where weights="imagenet". Without
    it, weights that were fine-tuned from ImageNet's and saved to a file would
    load into a network that scales its input differently, without a word.
    """

    def call(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Normalization):
            scale = [std**-0.5 for std in _TORCH_STD]
            outputs = keras.layers.Rescaling(scale)(outputs)
        return outputs

    return keras.models.clone_model(model, call_function=call)


def _caffe(x):
    offset = [-mean for mean in _CAFFE_MEAN]
    return keras.ops.flip(_rescale(x, 1.0, offset), axis=-1)


def _tf(x):
    return _rescale(x, 1 / 127.5, -1.0)


def _torch(x):
    scale = [1 / (255 * std) for std in _TORCH_STD]
    offset = [
        -mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD, strict=True)
    ]
    return _rescale(x, scale, offset)


def _rescale(x, scale, offset):
    """Brings pixels to a range, in float32 whatever the precision."""
    return keras.layers.Rescaling(
        scale, offset, dtype="float32", name="normalisation"
    )(x)


_NORMALISATIONS = {
    "caffe": _caffe,
    "tf": _tf,
    "torch": _torch,
    "inside": lambda x: x,
    "inside_more": lambda x: x,
}


def _by_start(*starts, first="stem"):
    """Makes blocks from where each begins.

    A start is a block's name and a regular expression, searched in
    `previous>layer`: the names of a layer and of the one before it in the
    order of the graph. Starts of one name make one block.
    """

    def blocks(model):
        pending, current, previous = list(starts), first, ""
        found = {}
        for layer in layers_of(model):
            if pending and re.search(pending[0][1], f"{previous}>{layer}"):
                current = pending.pop(0)[0]
            found.setdefault(current, []).append(layer)
            previous = layer
        if pending:
            raise ValueError(
                f"No layer of {model.name} begins block {pending[0]!r}."
            )
        return tuple(Block(name, tuple(found[name])) for name in found)

    return blocks


def _by_cell(model):
    """Makes a block of each of NASNet's cells, which overlap in the graph.

    Most layers name their cell. The others own no weights; each belongs with
    the first cell that it feeds.
    """
    cells = {}
    for layer in layers_of(model):
        match = re.match(
            r"(?:normal|reduction|separable|adjust)_.*?"
            r"_?(stem_\d|reduce_\d+|(?<=_)\d+)$",
            layer,
        )
        if layer.startswith("stem_"):
            cells[layer] = "stem"
        elif match:
            cells[layer] = re.sub(r"^(?=\d)", "cell_", match[1])
    order = sorted(set(cells.values()), key=_place_of_cell)
    feeds = {}
    for call in reversed(trace(model).calls):
        name = call.layer.name
        if name not in cells:
            fed = [feeds[id(x)] for x in call.outputs if id(x) in feeds]
            cells[name] = min(fed, key=order.index) if fed else order[-1]
        for x in call.inputs:
            others = [feeds[id(x)]] if id(x) in feeds else []
            feeds[id(x)] = min([cells[name], *others], key=order.index)
    found = {cell: [] for cell in order}
    for layer in layers_of(model):
        found[cells[layer]].append(layer)
    return tuple(Block(cell, tuple(found[cell])) for cell in order)


def _place_of_cell(cell):
    """Sorts: stem, stem_1, stem_2, cell_0, …, cell_8, reduce_8, cell_9."""
    if cell.startswith("stem"):
        return -1, cell
    kind, number = cell.split("_")
    return int(number), kind


_VGG = _by_start(
    *((f"block{i}", f">block{i}_conv1$") for i in range(2, 6)), first="block1"
)
_RES_NET = _by_start(*((f"conv{i}", f">conv{i}_block1") for i in range(2, 6)))
_INCEPTION = _by_start(
    ("stem", r"^max_pooling2d\S*>"),
    ("mixed0", r"^max_pooling2d\S*>"),
    *((f"mixed{i + 1}", f"^mixed{i}>") for i in range(10)),
)
_INCEPTION_RES_NET = _by_start(
    ("stem", r"^max_pooling2d\S*>"),
    ("mixed_5b", r"^max_pooling2d\S*>"),
    ("block35", "^mixed_5b>"),
    ("mixed_6a", "^block35_10_ac>"),
    ("block17", "^mixed_6a>"),
    ("mixed_7a", "^block17_20_ac>"),
    ("block8", "^mixed_7a>"),
    ("conv_7b", ">conv_7b$"),
)
_XCEPTION = _by_start(
    *((f"block{i}", f">block{i}_sepconv1") for i in range(2, 15)),
    first="block1",
)
_MOBILE_NET = _by_start(
    *((f"block{i}", rf">conv_(pad|dw)_{i}$") for i in range(1, 14))
)
_MOBILE_NET_V2 = _by_start(
    ("block0", ">expanded_conv_"),
    *((f"block{i}", f">block_{i}_") for i in range(1, 17)),
    ("top", ">Conv_1$"),
)
_CONV_NEXT = _by_start(
    ("stage0", r">\S*_stage_0_block_0"),
    *((f"stage{i}", rf">\S*_downsampling_block_{i - 1}$") for i in (1, 2, 3)),
)


def _efficient_net(blocks):
    return _by_start(
        *((f"block{i}", f">block{i}a_") for i in range(1, blocks + 1)),
        ("top", ">top_conv$"),
    )


def _mobile_net_v3(blocks):
    return _by_start(
        ("block0", ">expanded_conv_"),
        *((f"block{i}", f">expanded_conv_{i}_") for i in range(1, blocks)),
        ("top", ">conv_1$"),
    )


_TABLE = {
    "VGG16": _Row("caffe", _VGG),
    "VGG19": _Row("caffe", _VGG),
    "ResNet50": _Row("caffe", _RES_NET),
    "ResNet101": _Row("caffe", _RES_NET),
    "ResNet152": _Row("caffe", _RES_NET),
    "ResNet50V2": _Row("tf", _RES_NET),
    "ResNet101V2": _Row("tf", _RES_NET),
    "ResNet152V2": _Row("tf", _RES_NET),
    "InceptionV3": _Row("tf", _INCEPTION, 299, 75),
    "InceptionResNetV2": _Row("tf", _INCEPTION_RES_NET, 299, 75),
    "Xception": _Row("tf", _XCEPTION, 299, 71),
    "MobileNet": _Row("tf", _MOBILE_NET),
    "MobileNetV2": _Row("tf", _MOBILE_NET_V2),
    "MobileNetV3Small": _Row("inside", _mobile_net_v3(11)),
    "MobileNetV3Large": _Row("inside", _mobile_net_v3(15)),
    "DenseNet121": _Row("torch", _RES_NET),
    "DenseNet169": _Row("torch", _RES_NET),
    "DenseNet201": _Row("torch", _RES_NET),
    "NASNetMobile": _Row(
        "tf", _by_cell, weights_file="nasnet_mobile_no_top.h5"
    ),
    "NASNetLarge": _Row(
        "tf", _by_cell, 331, weights_file="nasnet_large_no_top.h5"
    ),
    "EfficientNetB0": _Row("inside_more", _efficient_net(7)),
    "EfficientNetB1": _Row("inside_more", _efficient_net(7), 240),
    "EfficientNetB2": _Row("inside_more", _efficient_net(7), 260),
    "EfficientNetB3": _Row("inside_more", _efficient_net(7), 300),
    "EfficientNetB4": _Row("inside_more", _efficient_net(7), 380),
    "EfficientNetB5": _Row("inside_more", _efficient_net(7), 456),
    "EfficientNetB6": _Row("inside_more", _efficient_net(7), 528),
    "EfficientNetB7": _Row("inside_more", _efficient_net(7), 600),
    "EfficientNetV2B0": _Row("inside", _efficient_net(6)),
    "EfficientNetV2B1": _Row("inside", _efficient_net(6), 240),
    "EfficientNetV2B2": _Row("inside", _efficient_net(6), 260),
    "EfficientNetV2B3": _Row("inside", _efficient_net(6), 300),
    "EfficientNetV2S": _Row("inside", _efficient_net(6), 384),
    "EfficientNetV2M": _Row("inside", _efficient_net(7), 480),
    "EfficientNetV2L": _Row("inside", _efficient_net(7), 480),
    "ConvNeXtTiny": _Row("inside", _CONV_NEXT),
    "ConvNeXtSmall": _Row("inside", _CONV_NEXT),
    "ConvNeXtBase": _Row("inside", _CONV_NEXT),
    "ConvNeXtLarge": _Row("inside", _CONV_NEXT),
    "ConvNeXtXLarge": _Row("inside", _CONV_NEXT),
}
