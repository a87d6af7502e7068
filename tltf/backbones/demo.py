"""The small networks that come with tltf, weights included."""

import pathlib

from tltf.backbones import demo_network, files
from tltf.core.backbone import Backbone, blocks_by_start
from tltf.core.preprocess import ImagePreprocess
from tltf.errors import nearest

_FOLDER = pathlib.Path(__file__).parent / "weights"
_NAMES = ("digits_0_4", "digits_0_4_shuffled")


def names() -> list[str]:
    """Names the networks."""
    return list(_NAMES)


def load(
    name: str, weights: str | None, image_size: tuple[int, int] | None
) -> Backbone:
    """Builds the network that `tltf demo` transfers.

    Args:
        name: What it was trained on, such as `digits_0_4`.
        weights: `pretrained`, the path of a `.weights.h5`, or None for random
            ones.
        image_size: Height and width, alike; default 40.
    """
    if name not in _NAMES:
        raise ValueError(
            f"There is no demo network {name!r}.{nearest(name, _NAMES)}"
            f" There are {', '.join(_NAMES)}."
        )
    size = image_size or (40, 40)
    if size[0] != size[1]:
        raise ValueError(
            f"`image_size` of a demo network is a square. Received: {size}"
        )
    model = demo_network.build(size[0])
    source = f"demo:{name}"
    if weights in ("pretrained", "imagenet"):
        path = _FOLDER / f"demo_{name}.weights.h5"
        files.load_weights(model, str(path), source)
        weights = source
    elif weights is not None:
        files.load_weights(model, weights, source)
    starts = {block: f"{block}_" for block in ("block1", "block2", "block3")}
    return Backbone(
        model,
        blocks_by_start(model, starts),
        source,
        weights,
        ImagePreprocess(size),
    )
