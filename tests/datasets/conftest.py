"""Small pictures on disk."""

import io
import os

import numpy as np
import pytest
from PIL import Image


def encode(pixels, form="PNG", **options):
    """Encodes pixels by Pillow."""
    out = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else None
    (picture or Image.fromarray(pixels)).save(out, form, **options)
    return out.getvalue()


def pixels(seed=0, height=12, width=16):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def write(tmp_path):
    """Writes a file under `tmp_path`; without content, a small picture."""

    def write_file(name, content=None):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            content = encode(pixels(len(os.listdir(path.parent))))
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
        return str(path)

    return write_file


@pytest.fixture
def flowers(tmp_path, write):
    """Makes class folders of pictures: `flowers({"rose": 5})`."""

    def make(classes, under=""):
        for name, count in classes.items():
            for i in range(count):
                write(os.path.join(under, name, f"{i}.png"))
        return str(tmp_path)

    return make
