"""From raw bytes or strings to what a model takes, once for all uses.

The same object is mapped over the data in training and traced into the
served signature, in TensorFlow ops only, so that both cannot differ.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tltf.core.wordpiece import WordPiece

_RESIZES = ("stretch", "crop", "pad")


class Preprocess:
    """What every preprocess has: it is called on one raw item or a batch.

    Attributes:
        kind: `"image"` or `"text"`.
        is_batched: Whether it takes a batch of raw items at once.
    """

    kind: str
    is_batched: bool

    def __call__(self, raw):
        """Turns raw items into what a model takes."""
        raise NotImplementedError


@keras.saving.register_keras_serializable("tltf")
@dataclasses.dataclass(frozen=True)
class ImagePreprocess(Preprocess):
    """Decodes a picture and brings it to one size.

    Args:
        image_size: Height and width in pixels.
        resize: `"stretch"` to the size, `"crop"` the middle of the right
            shape, or `"pad"` with black.
        channels: 3 for RGB, 1 for grey.

    Example:
    >>> pixels = ImagePreprocess((224, 224))(tf.io.read_file("cat.jpg"))
    >>> pixels.shape  # float32, 0..255
    TensorShape([224, 224, 3])
    """

    image_size: tuple[int, int]
    resize: str = "stretch"
    channels: int = 3

    kind = "image"
    is_batched = False

    def __post_init__(self):
        size = self.image_size
        size = (size, size) if isinstance(size, int) else tuple(size)
        object.__setattr__(self, "image_size", size)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(
                "`image_size` must be a number of pixels or (height, width)."
                f" Received: {self.image_size}"
            )
        if self.resize not in _RESIZES:
            raise ValueError(
                f"`resize` must be one of {_RESIZES}. Received: {self.resize!r}"
            )
        if self.channels not in (1, 3):
            raise ValueError(
                f"`channels` must be 1 or 3. Received: {self.channels}"
            )

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        """Decodes one encoded picture.

        Args:
            raw: Scalar string: the bytes of a JPEG, PNG, GIF (its first
                frame), BMP or WebP file.

        Returns:
            float32 `[height, width, channels]`, values 0..255.
        """
        return self.fit_size(self.decode(raw))

    def decode(self, raw: tf.Tensor) -> tf.Tensor:
        """Decodes bytes to pixels, a large JPEG at reduced size.

        A JPEG that is at least twice as large as needed is decoded at a half,
        a quarter or an eighth, which the format gives for less work.
        """
        decoded = tf.cond(
            tf.io.is_jpeg(raw),
            lambda: self._decode_jpeg(raw),
            lambda: self._decode_others(raw),
        )
        return tf.ensure_shape(decoded, [None, None, self.channels])

    def fit_size(self, pixels: tf.Tensor) -> tf.Tensor:
        """Brings pixels `[..., h, w, c]` of any size to float32 of ours."""
        height, width = self.image_size
        if self.resize == "crop":
            pixels = _crop(pixels, height, width)
        # To resize bytes takes longer than to cast them first.
        pixels = tf.cast(pixels, tf.float32)
        if self.resize == "pad":
            pixels = _fit_and_pad(pixels, height, width)
        else:
            pixels = tf.image.resize(pixels, (height, width))
        return tf.ensure_shape(
            pixels, [*pixels.shape[:-3], height, width, self.channels]
        )

    def from_pixels(self, pixels: np.ndarray) -> tf.Tensor:
        """The same for a picture that is decoded already."""
        return self.fit_size(pixels)

    def get_config(self) -> dict:
        """Returns plain data that `from_config` takes back."""
        return dataclasses.asdict(self) | {"image_size": list(self.image_size)}

    @classmethod
    def from_config(cls, config: dict) -> "ImagePreprocess":
        """Makes it again from `get_config`."""
        return cls(**config | {"image_size": tuple(config["image_size"])})

    def _decode_others(self, raw):
        # GIF, BMP and WebP cannot be decoded to one channel.
        pixels = tf.io.decode_image(raw, channels=3, expand_animations=False)
        if self.channels == 3:
            return pixels
        return tf.image.rgb_to_grayscale(
            tf.ensure_shape(pixels, [None, None, 3])
        )

    def _decode_jpeg(self, raw):
        shape = tf.image.extract_jpeg_shape(raw)
        room = tf.minimum(
            shape[0] // self.image_size[0], shape[1] // self.image_size[1]
        )

        def at(ratio):
            return lambda: tf.io.decode_jpeg(
                raw, channels=self.channels, ratio=ratio
            )

        # One choice among four takes less than `tf.case`, a choice in a choice.
        halvings = tf.reduce_sum(tf.cast(room >= [2, 4, 8], tf.int32))
        return tf.switch_case(halvings, [at(1), at(2), at(4), at(8)])


@keras.saving.register_keras_serializable("tltf")
class TextPreprocess(Preprocess):
    """Tokenises with BERT's WordPiece, in core TensorFlow ops only.

    Args:
        tokenizer: A `WordPiece`.

    Its result has `token_ids`, `segment_ids` and `padding_mask`, each
    `[batch, sequence_length]`.
    """

    kind = "text"
    is_batched = True

    def __init__(self, tokenizer: WordPiece):
        self.tokenizer = tokenizer

    def __call__(self, raw: tf.Tensor) -> dict[str, tf.Tensor]:
        """Tokenises strings `[batch]`."""
        return self.tokenizer(raw)

    def __eq__(self, other):
        return (
            isinstance(other, TextPreprocess)
            and self.get_config() == other.get_config()
        )

    __hash__ = None

    def get_config(self) -> dict:
        """Returns plain data that `from_config` takes back."""
        return {"tokenizer": self.tokenizer.get_config()}

    @classmethod
    def from_config(cls, config: dict) -> "TextPreprocess":
        """Makes it again from `get_config`."""
        return cls(WordPiece.from_config(config["tokenizer"]))


@keras.saving.register_keras_serializable("tltf")
class LayerPreprocess(Preprocess):
    """Any Keras preprocessing layer on raw strings, such as KerasHub's.

    Args:
        layer: Called with strings `[batch]`, gives the model's input.
    """

    kind = "text"
    is_batched = True

    def __init__(self, layer: keras.layers.Layer):
        self.layer = layer

    def __call__(self, raw: tf.Tensor):
        """Applies the layer to strings `[batch]`."""
        prepared = self.layer(raw)
        # Preprocessors of language models give inputs, targets and weights.
        return prepared[0] if isinstance(prepared, tuple) else prepared

    def __eq__(self, other):
        return (
            isinstance(other, LayerPreprocess)
            and self.get_config() == other.get_config()
        )

    __hash__ = None

    def get_config(self) -> dict:
        """Returns plain data that `from_config` takes back."""
        return {"layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: dict) -> "LayerPreprocess":
        """Makes it again from `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config["layer"]))


def _crop(pixels, height, width):
    """Cuts the middle of `[..., h, w, c]` to the shape of height × width."""
    shape = tf.shape(pixels)
    h, w = shape[-3], shape[-2]
    keep_h = tf.minimum(h, w * height // width)
    keep_w = tf.minimum(w, h * width // height)
    top, left = (h - keep_h) // 2, (w - keep_w) // 2
    return pixels[..., top : top + keep_h, left : left + keep_w, :]


def _fit_and_pad(pixels, height, width):
    """Fits `[..., h, w, c]` into height × width, with black around it.

    In whole numbers: `tf.image.resize_with_pad` computes the size in float32,
    and traced it may lose a row that it does not lose untraced.
    """
    shape = tf.shape(pixels)
    h, w = shape[-3], shape[-2]
    fit_h = tf.maximum(tf.minimum(height, h * width // w), 1)
    fit_w = tf.maximum(tf.minimum(width, w * height // h), 1)
    return tf.image.pad_to_bounding_box(
        tf.image.resize(pixels, (fit_h, fit_w)),
        (height - fit_h) // 2,
        (width - fit_w) // 2,
        height,
        width,
    )
