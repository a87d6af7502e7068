import io
import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.datasets.conftest import encode, pixels
from tltf.core.preprocess import ImagePreprocess
from tltf.datasets import inspect

DECODER = ImagePreprocess((16, 16))


def reason_of(path, preprocess=DECODER):
    return inspect.inspect([path], preprocess)[0]


@pytest.mark.parametrize(
    "form", ["JPEG", "PNG", "GIF", "BMP", "WEBP"], ids=str.lower
)
@pytest.mark.parametrize("name", ["picture.jfif", "picture", "picture.TXT"])
def test_the_content_counts_not_the_ending(write, form, name):
    assert reason_of(write(name, encode(pixels(), form))) is None


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_every_kind_of_png_is_good(write, mode):
    if mode == "I;16":
        picture = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8))
    else:
        picture = Image.fromarray(pixels()).convert(mode)
    assert reason_of(write("a.png", encode(picture))) is None


def test_of_an_animated_gif_the_first_frame_is_read():
    first, second = (
        Image.fromarray(np.full((8, 8, 3), value, np.uint8))
        for value in (255, 0)
    )
    raw = encode(first, "GIF", save_all=True, append_images=[second])
    assert ImagePreprocess((8, 8))(raw).numpy().min() == 255


def test_malformed_files_are_named_with_reasons(write):
    noise = pixels(0, 200, 200)
    half = {
        form: encode(noise, form)[: len(encode(noise, form)) // 2]
        for form in ("JPEG", "PNG", "GIF", "BMP", "WEBP")
    }
    cases = {
        "empty.jpg": (b"", "empty"),
        "page.jpg": ("\n <!DOCTYPE html><html>404</html>", "HTML"),
        "vector.png": ("<svg></svg>", "SVG"),
        "scan.tif": (encode(noise, "TIFF"), "TIFF.*convert"),
        "modern.avif": (encode(noise, "AVIF"), "AVIF.*convert"),
        "notes.txt": ("A rose.", "no picture"),
        "start.jpg": (b"\xff\xd8\xff\xe0", "cannot be decoded"),
        **{
            f"half.{form}": (raw, "cannot be decoded")
            for form, raw in half.items()
        },
    }
    paths = [write(name, raw) for name, (raw, _) in cases.items()]
    good = write("good.png")
    found = inspect.inspect([*paths, good], DECODER)
    assert found.pop() is None
    for (name, (_, expected)), reason in zip(cases.items(), found, strict=True):
        assert reason and re.search(expected, reason), (name, reason)
        assert "function_node" not in reason and "\n" not in reason


def test_a_coloured_palette_in_a_bmp_is_refused(write):
    # TensorFlow 2.21 decodes the numbers of the colours as shades of grey.
    picture = Image.fromarray(np.zeros((8, 8), np.uint8), "L").convert("P")
    picture.putpalette([255, 0, 0] * 256)
    assert "palette" in reason_of(write("a.bmp", encode(picture, "BMP")))
    grey = Image.fromarray(pixels()[..., 0], "L")
    assert reason_of(write("b.bmp", encode(grey, "BMP"))) is None


def test_what_passes_here_trains_and_what_does_not_would_stop(write):
    raw = encode(pixels(0, 300, 300), "JPEG", quality=95)
    for cut in range(100, len(raw), len(raw) // 25):
        path = write("cut.jpg", raw[:cut])
        try:
            DECODER(tf.io.read_file(path))
            is_good = True
        except tf.errors.OpError:
            is_good = False
        assert (reason_of(path) is None) == is_good, cut


def test_results_keep_the_order_of_the_paths(write):
    paths = [write(f"{i}.png", b"" if i % 3 == 0 else None) for i in range(40)]
    found = inspect.inspect(paths, DECODER)
    assert [r is not None for r in found] == [i % 3 == 0 for i in range(40)]


def test_without_a_cache_folder_nothing_is_written(write, tmp_path):
    path = write("a.png")
    reason_of(path)
    assert os.listdir(tmp_path) == ["a.png"]


def test_the_cache_is_used_until_a_file_changes(write, tmp_path, monkeypatch):
    good, bad = write("a.png"), write("b.png", b"")
    cache = str(tmp_path / "new" / "cache")
    first = inspect.inspect([good, bad], DECODER, cache)
    looked = []
    decode_all = inspect._decode_all
    monkeypatch.setattr(
        inspect,
        "_decode_all",
        lambda paths, p: looked.append(paths) or decode_all(paths, p),
    )
    assert inspect.inspect([good, bad], DECODER, cache) == first
    write("b.png")
    assert inspect.inspect([good, bad], DECODER, cache) == [None, None]
    assert looked == [[], [bad]]
    # Another decoder may judge otherwise.
    inspect.inspect([good], ImagePreprocess((8, 8)), cache)
    assert looked[-1] == [good]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 3}'])
def test_a_broken_cache_is_made_anew(write, tmp_path, content):
    path, cache = write("a.png"), tmp_path / "cache"
    inspect.inspect([path], DECODER, str(cache))
    (file,) = cache.iterdir()
    file.write_text(content)
    assert inspect.inspect([path], DECODER, str(cache)) == [None]
    assert path in json.loads(file.read_text())["files"]


def test_a_failed_write_keeps_the_old_cache(write, tmp_path, monkeypatch):
    first, second = write("a.png"), write("b.png")
    cache = tmp_path / "cache"
    inspect.inspect([first], DECODER, str(cache))
    (file,) = cache.iterdir()
    before = file.read_text()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(json, "dump", fail)
    with pytest.raises(OSError, match="disk full"):
        inspect.inspect([first, second], DECODER, str(cache))
    assert [p.read_text() for p in cache.iterdir()] == [before]


@pytest.mark.parametrize(("ratio", "limit"), [(2, 1.5), (4, 1.5), (8, 1.5)])
def test_reduced_jpeg_decoding_is_near_full_decoding(ratio, limit):
    # A smooth picture, 2, 4 or 8 times as large as is asked for.
    y, x = np.mgrid[0:1:256j, 0:1:320j]
    smooth = np.stack([np.sin(5 * x * y), np.cos(4 * x), np.sin(6 * y)], -1)
    picture = Image.fromarray((smooth * 127 + 128).astype(np.uint8))
    raw = encode(picture, "JPEG", quality=95)
    size = (256 // ratio, 320 // ratio)
    ours = ImagePreprocess(size)
    assert ours.decode(raw).shape == (*size, 3)
    full = Image.open(io.BytesIO(raw)).convert("RGB")
    area = np.asarray(full.resize(size[::-1], Image.Resampling.BOX), float)
    assert np.abs(ours(raw).numpy() - area).mean() < limit
