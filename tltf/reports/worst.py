"""The examples a model is most wrong about, shown as a reader can see them."""

import base64
import io

import numpy as np
import tensorflow as tf

from tltf.core.labels import Labels

_PIXELS = 128
_SMALL = 64
_LETTERS = 280


def wrongness(
    labels: Labels, targets: np.ndarray, probabilities: np.ndarray
) -> np.ndarray:
    """Says how wrong each prediction is: its confidence in what is wrong.

    Args:
        labels: What is predicted.
        targets: Class numbers `[size]`, or values `[size, units]`.
        probabilities: One column a class.

    Returns:
        `[size]`: the probability of the wrong class, or of the worst of the
        labels, or the largest absolute error; -inf where all is right.
    """
    if labels.kind == "regression":
        error = np.abs(targets - probabilities).max(axis=1)
        return np.where(error > 0, error, -np.inf)
    if labels.kind == "multi_label":
        return _label_wrongness(targets, probabilities).max(axis=1)
    is_wrong = probabilities.argmax(axis=1) != targets
    return np.where(is_wrong, probabilities.max(axis=1), -np.inf)


def describe(
    labels: Labels, target: np.ndarray, probabilities: np.ndarray
) -> dict:
    """Returns truth, predicted and probability of one wrong prediction."""
    if labels.kind == "regression":
        return {
            "truth": _values(labels, target),
            "predicted": _values(labels, probabilities),
            "probability": None,
        }
    if labels.kind == "multi_label":
        wrong = _label_wrongness(target[None], probabilities[None])[0]
        name = labels.classes[int(wrong.argmax())]
        said = (name, f"not {name}")
        is_present = bool(target[wrong.argmax()])
        return {
            "truth": said[not is_present],
            "predicted": said[is_present],
            "probability": float(wrong.max()),
        }
    return {
        "truth": labels.classes[int(target)],
        "predicted": labels.classes[int(probabilities.argmax())],
        "probability": float(probabilities.max()),
    }


def show(raw, kind: str | None) -> dict[str, str | None]:
    """Returns a thumbnail or an excerpt of one raw example.

    Args:
        raw: The bytes of a picture, a text, or an array.
        kind: `"image"` or `"text"` where the model's preprocess knows.

    Returns:
        `image`: a data URI, at most 128 pixels a side, or None. `text`: an
        excerpt or None.
    """
    if isinstance(raw, (bytes, str)):
        if kind == "image":
            pixels = tf.io.decode_image(
                raw, channels=3, expand_animations=False
            )
            return {"image": thumbnail(pixels.numpy()), "text": None}
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        return {"image": None, "text": _excerpt(text)}
    array = np.asarray(raw) if not isinstance(raw, dict) else np.zeros(0)
    if array.ndim == 3 and array.shape[-1] in (1, 3, 4):
        return {"image": thumbnail(array), "text": None}
    return {"image": None, "text": None}


def thumbnail(pixels: np.ndarray) -> str:
    """Returns pixels `[height, width, 1, 3 or 4]` as a small data URI."""
    from PIL import Image

    pixels = _as_bytes(pixels)
    is_grey = pixels.shape[-1] == 1
    picture = Image.fromarray(pixels[..., 0] if is_grey else pixels)
    longest = max(picture.size)
    if longest <= _SMALL:
        # A browser would blur so few pixels.
        times = _PIXELS // longest
        picture = picture.resize(
            [side * times for side in picture.size], Image.Resampling.NEAREST
        )
    picture.thumbnail((_PIXELS, _PIXELS))
    is_png = longest <= _SMALL or picture.mode == "RGBA"
    kind = "png" if is_png else "jpeg"
    memory = io.BytesIO()
    picture.save(memory, kind, quality=85)
    content = base64.b64encode(memory.getvalue()).decode()
    return f"data:image/{kind};base64,{content}"


def _label_wrongness(targets, probabilities):
    given = np.where(targets > 0.5, 1 - probabilities, probabilities)
    is_wrong = (probabilities > 0.5) != (targets > 0.5)
    return np.where(is_wrong, given, -np.inf)


def _values(labels, row):
    if len(row) == 1:
        return f"{row[0]:.4g}"
    named = zip(labels.classes, row, strict=True)
    return ", ".join(f"{name} {value:.4g}" for name, value in named)


def _excerpt(text):
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _as_bytes(pixels):
    """Brings any range of values to 0..255."""
    if pixels.dtype == np.uint8:
        return pixels
    pixels = np.nan_to_num(pixels.astype("float64"))
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 255:
        pixels = (pixels - low) / max(high - low, 1e-12) * 255
    elif high <= 1:
        pixels = pixels * 255
    return pixels.round().astype("uint8")
