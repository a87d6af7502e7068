"""Makes backbones of KerasHub's text networks."""

import re

import keras
from keras import ops

from tltf.core.backbone import Block, layers_of
from tltf.core.preprocess import LayerPreprocess, TextPreprocess
from tltf.core.repair import repair
from tltf.core.wordpiece import WordPiece


def convert(network: keras.Model, preset: str, sequence_length: int):
    """Returns a flat model, its blocks and what prepares its texts.

    Args:
        network: A KerasHub backbone over `token_ids`.
        preset: Where its tokenizer is.
        sequence_length: Tokens a text is cut or padded to.

    Raises:
        ValueError: It is no encoder and no decoder, or takes fewer tokens.
    """
    longest = getattr(network, "max_sequence_length", None)
    if isinstance(longest, int) and sequence_length > longest:
        raise ValueError(
            f"`sequence_length` of preset {preset!r} must be at most"
            f" {longest}. Received: {sequence_length}"
        )
    repair(network.layers, preset)
    preprocess = _preprocess(network, preset, sequence_length)
    inputs = dict(network.input)
    if isinstance(preprocess, TextPreprocess) and "segment_ids" not in inputs:
        # DistilBERT has none; with an input for them, what WordPiece gives
        # is what the model takes.
        inputs["segment_ids"] = keras.Input(
            (None,), dtype="int32", name="segment_ids"
        )
    model = keras.Model(inputs, _features(network), name=network.name)
    return model, numbered_blocks(model), preprocess


def numbered_blocks(model: keras.Model) -> tuple[Block, ...]:
    """Makes `embeddings`, `layer_0`, … and, if there is one, `pooler`.

    What follows the last transformer layer and is no pooler, such as a
    normalisation, belongs to that layer's block.
    """
    found = {"embeddings": []}
    current = "embeddings"
    for name in layers_of(model):
        if re.search(r"(layers?|block)_\d+$", name):
            current = f"layer_{len(found) - 1}"
        elif "pool" in name and current != "embeddings":
            current = "pooler"
        found.setdefault(current, []).append(name)
    return tuple(Block(name, tuple(layers)) for name, layers in found.items())


def _features(network):
    """Picks one vector a text from what the network gives for each token."""
    output = network.output
    if isinstance(output, dict):
        if "pooled_output" in output:
            return output["pooled_output"]
        if "sequence_output" not in output:
            raise ValueError(
                f"{type(network).__name__} gives {sorted(output)}; a backbone"
                " for texts is an encoder or a decoder, not both."
            )
        output = output["sequence_output"]
    if not any("Decoder" in type(x).__name__ for x in network.layers):
        return output[:, 0, :]
    # A decoder's last token is the one that has seen all others.
    mask = ops.cast(network.input["padding_mask"], "int32")
    last = ops.maximum(ops.sum(mask, axis=1, keepdims=True) - 1, 0)
    picked = ops.take_along_axis(output, ops.expand_dims(last, -1), axis=1)
    return ops.squeeze(picked, axis=1)


def _preprocess(network, preset, sequence_length):
    """Returns the preset's tokenisation, or None where it has none."""
    import keras_hub

    try:
        tokenizer = keras_hub.tokenizers.Tokenizer.from_preset(preset)
    except FileNotFoundError:
        return None
    if isinstance(tokenizer, keras_hub.tokenizers.WordPieceTokenizer):
        return TextPreprocess(
            WordPiece.from_keras_hub(tokenizer, sequence_length)
        )
    models = keras_hub.models
    for room in (
        models.TextClassifierPreprocessor,
        models.CausalLMPreprocessor,
    ):
        for kind in room.__subclasses__():
            if kind.backbone_cls is type(network):
                layer = kind(tokenizer, sequence_length=sequence_length)
                return LayerPreprocess(layer)
    return None
