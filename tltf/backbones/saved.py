"""Models that were saved to a `.keras` file."""

import keras

from tltf.backbones import files, own
from tltf.core.backbone import Backbone, layers_of
from tltf.core.model import TransferModel
from tltf.core.precision import in_precision
from tltf.core.repair import repair
from tltf.errors import nearest


def load(
    path: str,
    *,
    cut: str | None = None,
    blocks: dict[str, str] | None = None,
    image_size: tuple[int, int] | None = None,
    weights: str | None = "pretrained",
    precision: str | None = "auto",
) -> Backbone:
    """Loads a saved model as a backbone, without its head.

    A model that tltf saved loses its head and keeps its blocks. Of another,
    all is kept up to `cut`; by default up to the last feature map or sequence
    if the model ends in one vector an example, else the whole of it.

    Args:
        path: A `.keras` file. Code in it is refused.
        cut: Name of the last layer to keep.
        blocks: As for `own.load`.
        image_size: As for `own.load`.
        weights: Path of a `.weights.h5` to load into the whole saved model,
            or None to start from random weights again.
        precision: What the layers that are kept shall compute in; default,
            what they were saved with.

    Raises:
        ValueError: No such file or layer, or Keras cannot read it.
    """
    files.check_exists(path, "source")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(
            f"{path!r} cannot be loaded as a Keras model; expected is a .keras"
            f" file without Lambda layers or unknown classes. Keras says:"
            f" {error}"
        ) from error
    if weights is None:
        model = type(model).from_config(model.get_config())
    elif weights not in ("pretrained", "imagenet"):
        files.load_weights(model, weights, f"saved:{path}")
    repair(model.layers, path)
    name, origin = f"saved:{path}", path if weights else None
    if weights not in ("pretrained", "imagenet", None):
        origin = weights
    if isinstance(model, TransferModel) and cut is None:
        return _without_head(model, name, origin, precision)
    return own.load(
        _recast(_cut(own.functional(model), cut), precision, path),
        blocks=blocks,
        image_size=image_size,
        name=name,
        weights=origin,
    )


def _without_head(model, name, weights, precision):
    features = model.get_layer(model.head.layers[0]).input
    backbone = keras.Model(model.input, features, name="backbone")
    return Backbone(
        _recast(backbone, precision, name),
        model.backbone_blocks,
        name,
        weights,
        model.preprocess,
    )


def _recast(model, precision, source):
    model = in_precision(model, precision)
    repair(model.layers, source)
    return model


def _cut(model, cut):
    """Keeps a model up to a layer."""
    names = layers_of(model)
    if cut is None:
        if not isinstance(model.output, keras.KerasTensor):
            raise ValueError(
                "The saved model has several outputs: name the last layer to"
                f" keep with `cut`, such as {names[-1]!r}."
            )
        if len(model.output.shape) != 2:
            return model
        maps = [n for n in names if _is_map(model.get_layer(n))]
        if not maps:
            raise ValueError(
                "The saved model has no feature map to cut at: name the last"
                f" layer to keep with `cut`. Its last layers: {names[-6:]}"
            )
        cut = maps[-1]
    if cut not in names:
        raise ValueError(
            f"`cut` must name a layer of the saved model.{nearest(cut, names)}"
            f" Its last layers: {names[-6:]}. Received: {cut!r}"
        )
    features = model.get_layer(cut).output
    return keras.Model(model.input, features, name=model.name)


def _is_map(layer):
    output = layer.output
    return isinstance(output, keras.KerasTensor) and len(output.shape) in (3, 4)
