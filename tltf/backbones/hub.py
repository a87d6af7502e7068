"""KerasHub presets, by name or from a local folder: the door."""

import contextlib
import os

from tltf.backbones import files
from tltf.core.backbone import Backbone
from tltf.errors import UnavailableError, nearest

_PRETRAINED = ("imagenet", "pretrained")


def names() -> list[str]:
    """Names the presets that KerasHub knows."""
    import keras_hub

    return sorted(keras_hub.models.Backbone.presets)


def load(
    name: str,
    weights: str | None,
    image_size: tuple[int, int] | None,
    sequence_length: int,
) -> Backbone:
    """Loads the network of a preset, of pictures or of text, without a head.

    Args:
        name: A preset's name, a local preset folder, or an address such as
            `hf://user/model`.
        weights: `pretrained` for the preset's, the path of a `.weights.h5`
            of the backbone's model, or None for random ones.
        image_size: Height and width of pictures; default, the preset's.
        sequence_length: Tokens a text is cut or padded to.

    Raises:
        ValueError: There is no such preset, or it cannot be a backbone.
        UnavailableError: It is not on this machine and cannot be fetched.
    """
    import keras_hub

    from tltf.backbones import hub_images, hub_texts

    name = _check_name(name)
    source = f"hub:{name}"
    is_pretrained = weights in _PRETRAINED
    options = {} if image_size is None else {"image_shape": (*image_size, 3)}
    with _explained(name):
        network = keras_hub.models.Backbone.from_preset(
            name, load_weights=is_pretrained, **options
        )
    room = hub_texts if _takes_text(network) else hub_images
    with _explained(name):
        if room is hub_texts:
            made = room.convert(network, name, sequence_length)
        else:
            made = room.convert(network, name, image_size)
    model, blocks, preprocess = made
    if weights is not None and not is_pretrained:
        files.load_weights(model, weights, source)
    origin = name if is_pretrained else weights
    return Backbone(model, blocks, source, origin, preprocess)


def _check_name(name):
    """Checks at the door that there can be such a preset."""
    import keras_hub

    presets = keras_hub.models.Backbone.presets
    if name in presets:
        return name
    if "://" in name:
        if name.startswith("hf://"):
            _check_hugging_face(name)
        return name
    folder = os.path.expanduser(name)
    if os.path.isdir(folder):
        files.check_exists(os.path.join(folder, "config.json"), "source")
        return folder
    if os.sep in name or name.startswith("."):
        files.check_exists(folder, "source")
    raise ValueError(
        f"KerasHub has no preset {name!r}, and there is no such folder."
        f"{nearest(name, presets)} `tltf list` names the presets."
    )


def _check_hugging_face(name):
    """Asks at once whether the hub answers; its client would retry for 23 s."""
    import huggingface_hub

    repository = name.removeprefix("hf://")
    cached = huggingface_hub.try_to_load_from_cache(repository, "config.json")
    if not isinstance(cached, str):
        files.check_reachable("huggingface.co", _advice(name))


def _takes_text(network):
    return isinstance(network.input, dict) and "token_ids" in network.input


@contextlib.contextmanager
def _explained(name):
    """Turns what goes wrong with a preset's files into errors that teach."""
    try:
        with files.patience():
            yield
    except UnavailableError:
        raise
    except OSError as error:
        # requests' errors are OSErrors; so is a file that is not there.
        raise UnavailableError(
            f"Preset {name!r} is not on this machine and cannot be fetched"
            f" ({type(error).__name__}: {str(error)[:200]}). {_advice(name)}"
        ) from error
    except TypeError as error:
        if "image_shape" not in str(error):
            raise
        raise ValueError(f"Preset {name!r} takes no `image_size`.") from error


def _advice(name):
    return (
        f"Wanted are the files of preset {name!r}: config.json,"
        " model.weights.h5 and, for texts, tokenizer.json with assets/. Put"
        " them into a folder on this machine and name it 'hub:./folder'; or"
        " load the preset once on a machine with network and copy"
        " ~/.cache/kagglehub (hf://: ~/.cache/huggingface) here."
    )
