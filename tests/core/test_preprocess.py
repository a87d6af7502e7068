import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tltf.core.preprocess import ImagePreprocess


def picture(height, width, seed=0):
    """Smooth colours, so that a JPEG keeps them."""
    rows = np.linspace(0, 3, height)[:, None, None]
    columns = np.linspace(0, 2, width)[None, :, None]
    phase = np.arange(3)[None, None] + seed
    waves = np.sin(rows + phase) + np.cos(columns * 2 + phase)
    return np.uint8(127 + 60 * waves)


def encoded(pixels, format, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def test_pixels_of_a_lossless_picture_are_exact():
    pixels = picture(20, 30)
    found = ImagePreprocess((20, 30))(encoded(pixels, "PNG"))
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "JPEG", "WEBP"])
def test_formats(format):
    found = ImagePreprocess(16)(encoded(picture(40, 50), format))
    assert found.shape == (16, 16, 3)
    assert 20 < float(tf.reduce_mean(found)) < 235


@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "JPEG", "WEBP"])
def test_formats_in_grey(format):
    preprocess = ImagePreprocess(16, channels=1)
    found = preprocess(encoded(picture(40, 50), format))
    assert found.shape == (16, 16, 1)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA"])
def test_grey_palette_and_alpha_become_rgb(mode):
    file = io.BytesIO()
    Image.fromarray(picture(20, 20)).convert(mode).save(file, "PNG")
    assert ImagePreprocess(16)(file.getvalue()).shape == (16, 16, 3)


def test_sixteen_bit_png_is_not_all_white():
    """Fact 17: Pillow's own conversion makes it so."""
    values = np.linspace(0, 65535, 400).reshape(20, 20).astype("uint16")
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    found = ImagePreprocess(20)(file.getvalue()).numpy()
    np.testing.assert_allclose(found[..., 0], values / 257.0, atol=1.0)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_large_jpeg_is_decoded_at_reduced_size(scale):
    pixels = picture(32 * scale, 48 * scale)
    preprocess = ImagePreprocess((32, 48))
    raw = encoded(pixels, "JPEG", quality=95)
    assert preprocess.decode(raw).shape == (32, 48, 3)
    averaged = pixels.reshape(32, scale, 48, scale, 3).mean((1, 3))
    np.testing.assert_allclose(preprocess(raw), averaged, atol=6)


@pytest.mark.parametrize(("scale", "ratio"), [(3, 2), (6, 4), (16, 8)])
def test_large_jpeg_is_never_decoded_smaller_than_needed(scale, ratio):
    raw = encoded(picture(32 * scale, 48 * scale), "JPEG")
    shape = (32 * scale // ratio, 48 * scale // ratio, 3)
    assert ImagePreprocess((32, 48)).decode(raw).shape == shape


def test_small_jpeg_is_decoded_whole():
    raw = encoded(picture(40, 60), "JPEG")
    assert ImagePreprocess((32, 48)).decode(raw).shape == (40, 60, 3)


@pytest.mark.parametrize("size", [(224, 224), (301, 200), (97, 412)])
def test_padded_as_it_is_served(size):
    """A float32 size lost a column of 224 x 224 in 100 x 60, if traced."""
    preprocess = ImagePreprocess((100, 60), "pad")
    pixels = np.full((*size, 3), 9, "uint8")
    eager = preprocess.from_pixels(pixels).numpy()
    traced = tf.function(preprocess.from_pixels)(tf.constant(pixels)).numpy()
    np.testing.assert_array_equal(eager, traced)
    scale = min(100 / size[0], 60 / size[1])
    rows, columns = (eager.max(axis=(axis, 2)) > 0 for axis in (1, 0))
    assert rows.sum() == int(size[0] * scale + 1e-9)
    assert columns.sum() == int(size[1] * scale + 1e-9)


def test_crop_keeps_the_middle_and_pad_keeps_all():
    pixels = np.zeros((20, 40, 3), "uint8")
    pixels[:, 10:30] = 200
    raw = encoded(pixels, "PNG")
    assert float(tf.reduce_min(ImagePreprocess(20, "crop")(raw))) == 200
    padded = ImagePreprocess(20, "pad")(raw).numpy()
    assert padded[0].max() == 0 and padded[10, 10].min() == 200


def test_config_makes_it_again():
    ours = ImagePreprocess((8, 9), "pad", 1)
    config = keras.saving.serialize_keras_object(ours)
    assert keras.saving.deserialize_keras_object(config) == ours


def test_wrong_settings_are_explained():
    with pytest.raises(ValueError, match="resize"):
        ImagePreprocess(8, "squash")
    with pytest.raises(ValueError, match="image_size"):
        ImagePreprocess((8, 0))
    with pytest.raises(ValueError, match="channels"):
        ImagePreprocess(8, channels=4)
