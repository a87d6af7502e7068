"""Makes backbones of KerasHub's networks for pictures."""

import keras

from tltf.backbones.hub_texts import numbered_blocks
from tltf.backbones.own import automatic_blocks
from tltf.core.graph import with_front
from tltf.core.preprocess import ImagePreprocess
from tltf.core.repair import repair


def convert(
    network: keras.Model, preset: str, image_size: tuple[int, int] | None
):
    """Returns a flat model on raw pixels, its blocks and its preprocess.

    Args:
        network: A KerasHub backbone over pictures.
        preset: Where its image converter is.
        image_size: Height and width; default, the preset's.

    Raises:
        ValueError: The network takes something else.
    """
    shape = keras.tree.flatten(network.input)[0].shape
    if len(keras.tree.flatten(network.input)) != 1 or len(shape) != 4:
        raise ValueError(
            f"Preset {preset!r} is a {type(network).__name__}; a backbone"
            " takes pictures or texts, and nothing besides."
        )
    converter = _converter(preset)
    size = image_size or _fixed(shape[1:3]) or (224, 224)
    if image_size is None and None in shape[1:3] and converter is not None:
        size = converter.image_size or size

    flat, is_unrolled = _flatten(network, shape)
    repair(flat.layers, preset)
    model = with_front(flat, lambda pixels: _normalise(pixels, converter))
    repair(model.layers, preset)
    blocks = numbered_blocks(model) if is_unrolled else automatic_blocks(model)
    return model, blocks, ImagePreprocess(tuple(size), channels=shape[-1])


def _converter(preset):
    """Returns what the preset does to pixels, or None if it has nothing."""
    import keras_hub

    try:
        return keras_hub.layers.ImageConverter.from_preset(preset)
    except (FileNotFoundError, ValueError):
        return None


def _fixed(size):
    return None if None in size else tuple(size)


def _normalise(pixels, converter):
    """Puts the converter's scale and offset into the graph."""
    scale = getattr(converter, "scale", None)
    offset = getattr(converter, "offset", None)
    if scale is None and offset is None:
        return pixels
    layer = keras.layers.Rescaling(
        1.0 if scale is None else scale,
        0.0 if offset is None else offset,
        dtype="float32",
        name="normalisation",
    )
    return layer(pixels)


def _flatten(network, shape):
    """Rebuilds the graph on an input named `image`, sharing the layers.

    A transformer that hides its blocks in one encoder layer is unrolled.

    Returns:
        The model, and whether it was unrolled.
    """
    image = keras.Input(shape[1:], name="image")
    for layer in network.layers:
        unroll = _UNROLL.get(type(layer).__name__)
        if unroll is not None:
            tokens = unroll(network, layer, image)
            if getattr(network, "use_class_token", True):
                tokens = tokens[:, 0, :]
            return keras.Model(image, tokens, name=network.name), True
    inputs = keras.tree.map_structure(lambda _: image, network.input)
    shared = keras.models.clone_model(
        network, input_tensors=inputs, clone_function=lambda layer: layer
    )
    output = shared.output
    if not isinstance(output, keras.KerasTensor):
        output = keras.tree.flatten(output)[-1]
    return keras.Model(image, output, name=network.name), False


def _unroll_vit(network, encoder, image):
    """ViT: dropout, blocks and a last normalisation in a layer."""
    embed = network.layers[network.layers.index(encoder) - 1]
    x = encoder.dropout(embed(image))
    for layer in encoder.encoder_layers:
        x = layer(x)
    return encoder.layer_norm(x)


def _unroll_deit(network, encoder, image):
    """DeiT: the same; a block called without scores gives a None."""
    embed = network.layers[network.layers.index(encoder) - 1]
    x = embed(image)
    for layer in encoder.encoder_layers:
        x, _ = layer(x, return_attention_scores=True)
    return encoder.layer_norm(x)


def _unroll_dinov2(network, encoder, image):
    """DINOv2: blocks in a layer, the last normalisation behind it."""
    x = network.embeddings(image)
    for layer in encoder.layers:
        x = layer(x)
    return network.layernorm(x)


_UNROLL = {
    "ViTEncoder": _unroll_vit,
    "DeiTEncoder": _unroll_deit,
    "DINOV2Encoder": _unroll_dinov2,
}
