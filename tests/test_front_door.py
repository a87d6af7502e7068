import subprocess
import sys

import pytest

import tltf

PUBLIC = {
    "Splits",
    "Backbone",
    "TransferModel",
    "Stage",
    "fit",
    "evaluate",
    "export",
    "transfer",
    "image_classifier",
    "text_classifier",
    "datasets",
    "backbones",
    "recipes",
    "methods",
    "transferability",
}


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_tltf_imports_nothing_heavy():
    heavy = ["tensorflow", "keras", "sklearn", "matplotlib", "numpy"]
    code = f"import sys, tltf; print([m for m in {heavy} if m in sys.modules])"
    assert python(code) == "[]"


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_names_resolve(name):
    assert getattr(tltf, name) is not None
    assert name in dir(tltf)


def test_functions_are_not_hidden_by_modules_of_their_name():
    code = (
        "import tltf; tltf.image_classifier; tltf.recipes; import tltf.flow;"
        "print(all(callable(getattr(tltf, n)) for n in"
        " ['transfer', 'fit', 'evaluate', 'export']))"
    )
    assert python(code) == "True"


@pytest.mark.parametrize(
    "module",
    ["labels", "backbone", "preprocess", "graph", "model", "splits", "fit"],
)
def test_any_module_of_the_core_may_be_the_first(module):
    code = (
        f"import tltf.core.{module}, keras;"
        "print(keras.saving.get_registered_object('tltf>TransferModel'))"
    )
    assert "TransferModel" in python(code)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        tltf.nothing  # noqa: B018


@pytest.mark.parametrize(
    "order",
    [
        "import tltf, keras",
        "import keras, tltf",
        "import tltf; import tensorflow as tf; import keras",
        "import tensorflow as tf, tltf; tf.keras.layers; import keras",
        "import tltf.errors, keras",
    ],
)
def test_saved_model_loads_after_import_in_any_order(
    order, tmp_path, make_model
):
    path = tmp_path / "model.keras"
    make_model().save(path)
    code = f"""{order}
model = keras.models.load_model({str(path)!r})
print(type(model).__name__, model.classes)
"""
    assert python(code) == "TransferModel ('ape', 'bee', 'cat')"
