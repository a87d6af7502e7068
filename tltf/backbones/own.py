"""A Keras model of the user's own, and how any graph falls into blocks."""

import re

import keras

from tltf.core.backbone import Backbone, Block, blocks_by_start, layers_of
from tltf.core.graph import sublayers, trace
from tltf.core.preprocess import ImagePreprocess

_NORMALISATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.RMSNormalization,
)


def load(
    model: keras.Model,
    *,
    blocks: dict[str, str] | None = None,
    image_size: tuple[int, int] | None = None,
    name: str | None = None,
    weights: str | None = "own",
) -> Backbone:
    """Makes a backbone of a functional or sequential model without its top.

    Args:
        model: From pixels 0..255 (normalisation belongs inside: that is what
            `preprocess` will feed it), or from any other input, which then
            arrives ready made, to one tensor of rank 2, 3 or 4.
        blocks: Block name to a regular expression, input to output; a block
            begins at the first layer whose name it matches. Default, see
            `automatic_blocks`.
        image_size: Height and width, where the model leaves them open.
        name: Default, `own:` and the model's name.
        weights: Where the weights came from, for the record.

    Raises:
        TypeError: The model is a subclass whose graph Keras does not know.
        ValueError: It has several outputs, or a block begins nowhere.
    """
    model = functional(model)
    output = model.output
    if not isinstance(output, keras.KerasTensor):
        raise ValueError(
            f"A backbone has one output; {model.name!r} has"
            f" {len(keras.tree.flatten(output))}. Give"
            " `keras.Model(model.input, one_of_them)`."
        )
    _check_has_no_top(model)
    made = _given_blocks(model, blocks) if blocks else automatic_blocks(model)
    return Backbone(
        model,
        made,
        name or f"own:{model.name}",
        weights,
        image_preprocess(model, image_size),
    )


def functional(model: keras.Model) -> keras.Model:
    """Returns the model as a functional one, sharing its layers."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            "A backbone is a name such as 'applications:ResNet50' or a"
            f" keras.Model. Received: {model!r}"
        )
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ValueError(
                f"Sequential model {model.name!r} does not know its input"
                " yet: begin it with a `keras.Input`, or build it."
            )
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    try:
        trace(model)
    except ValueError as error:
        raise TypeError(
            f"{model.name!r} is a {type(model).__name__}; only functional and"
            " sequential models can be cut into blocks. Build it with the"
            " functional API: `keras.Model(inputs, outputs)`."
        ) from error
    return model


def image_preprocess(
    model: keras.Model, image_size: tuple[int, int] | None
) -> ImagePreprocess | None:
    """Returns what pictures need if pictures are what the model takes."""
    inputs = keras.tree.flatten(model.input)
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or shape[-1] not in (1, 3):
        return None
    fixed = tuple(shape[1:3])
    if image_size is None and None in fixed:
        raise ValueError(
            f"{model.name!r} takes pictures of any size; give `image_size`,"
            " such as 224."
        )
    size = image_size or fixed
    if any(
        want not in (None, got) for want, got in zip(fixed, size, strict=True)
    ):
        raise ValueError(
            f"`image_size` of {model.name!r} is fixed at {fixed}."
            f" Received: {image_size}"
        )
    return ImagePreprocess(tuple(size), channels=shape[-1])


def automatic_blocks(model: keras.Model) -> tuple[Block, ...]:
    """Cuts a graph where one tensor carries everything, and names the parts.

    Parts whose layers' names begin alike (`block1_conv1`, `block1_conv2`) are
    one block of that name; where names tell nothing, blocks are `block1`,
    `block2`, …, each with at least one layer that owns weights other than a
    normalisation's.
    """
    parts = _join_weightless(model, _clean_parts(model))
    labels = [_label(model, part) for part in parts]
    known = [label for label in labels if label]
    if len(set(known)) < 2:
        labels = [f"block{i + 1}" for i in range(len(parts))]
    blocks, current = {}, None
    for label, part in zip(labels, parts, strict=True):
        current = label or current or "stem"
        if current in blocks and current != list(blocks)[-1]:
            # A name that comes back tells nothing.
            blocks = {f"block{i + 1}": part for i, part in enumerate(parts)}
            break
        blocks[current] = blocks.get(current, []) + part
    return tuple(Block(name, tuple(layers)) for name, layers in blocks.items())


def _given_blocks(model, blocks):
    """Makes the blocks a user names; the first begins at the input."""
    if not isinstance(blocks, dict):
        raise TypeError(
            "`blocks` must map a block's name to a regular expression."
            f" Received: {blocks!r}"
        )
    first, *_ = blocks
    names = layers_of(model)
    if not any(re.match(blocks[first], name) for name in names):
        raise ValueError(
            f"No layer begins block {first!r}: nothing matches"
            f" {blocks[first]!r}. The layers are {names[:8]}…"
        )
    rest = {name: start for name, start in blocks.items() if name != first}
    return blocks_by_start(model, rest, first=first)


def _clean_parts(model):
    """Splits the layers at every place where one tensor carries it all."""
    graph = trace(model)
    end = len(graph.calls)
    last_use, last_call = {}, {}
    for tensor in keras.tree.flatten(graph.outputs):
        last_use[id(tensor)] = end
    for i, call in enumerate(graph.calls):
        last_call[call.layer.name] = i
        for tensor in call.inputs:
            last_use[id(tensor)] = max(i, last_use.get(id(tensor), 0))
    parts, part, reach = [], [], 0
    live = {id(x) for x in keras.tree.flatten(graph.inputs)}
    for i, call in enumerate(graph.calls):
        live |= {id(tensor) for tensor in call.outputs}
        live = {tensor for tensor in live if last_use.get(tensor, -1) > i}
        part.append(call.layer.name)
        # A layer that is called again further on is not to be cut in two.
        reach = max(reach, last_call[call.layer.name])
        if len(live) <= 1 and reach <= i:
            parts.append(part)
            part = []
    inner = layers_of(model)
    in_order = {name: place for place, name in enumerate(inner)}
    parts = [
        sorted({n for n in part if n in in_order}, key=in_order.get)
        for part in [*parts, part]
    ]
    return [part for part in parts if part]


def _join_weightless(model, parts):
    """Joins parts that learn nothing to the part before them.

    What comes before the first that learns joins that one.
    """
    joined, waiting = [], []
    for part in parts:
        if any(_learns(model.get_layer(name)) for name in part):
            joined.append(waiting + part)
            waiting = []
        elif joined:
            joined[-1] = joined[-1] + part
        else:
            waiting = waiting + part
    return joined or [waiting]


def _learns(layer):
    normalisation = {
        id(variable)
        for inner in sublayers(layer)
        if isinstance(inner, _NORMALISATIONS)
        for variable in inner.weights
    }
    return any(id(weight) not in normalisation for weight in layer.weights)


def _label(model, part):
    """Returns what the names of a part begin with, up to the first number."""
    layers = [model.get_layer(name) for name in part]
    words = [
        layer.name.split("_")
        for layer in layers
        if layer.weights and not _is_automatic(layer)
    ]
    common = []
    for column in zip(*words, strict=False):
        if len(set(column)) > 1:
            break
        if re.fullmatch(r"v\d+", column[0]):
            continue  # A version, as in ResNet v2, is no block.
        common.append(column[0])
        numbered = re.match(r"(\w*\d+)[a-z]?$", column[0])
        if numbered:
            return "_".join([*common[:-1], numbered[1]])
    return "_".join(common) if common == ["stem"] else None


def _is_automatic(layer):
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__)
    return re.match(rf"{snake.lower()}(_\d+)?$", layer.name) is not None


def _check_has_no_top(model):
    """A softmax or sigmoid at the end is a classifier, no backbone."""
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    name = getattr(activation, "__name__", "")
    if len(model.output.shape) == 2 and name in ("softmax", "sigmoid"):
        raise ValueError(
            f"{model.name!r} ends in '{last.name}' with a {name}: that is a"
            " classifier with its top. Give what lies below it:"
            " keras.Model(model.input, model.layers[-2].output)."
        )
