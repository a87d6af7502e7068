"""tltf: transfer learning for TensorFlow and Keras 3.

The public names are loaded when they are first used: `import tltf` imports
neither TensorFlow nor Keras.
"""

import importlib

from tltf import _registration
from tltf._version import __version__

# Public name to the module that holds it, and the name there; a module itself
# where that is None.
_PUBLIC = {
    "Backbone": ("tltf.core.backbone", "Backbone"),
    "Labels": ("tltf.core.labels", "Labels"),
    "Splits": ("tltf.core.splits", "Splits"),
    "Stage": ("tltf.core.stage", "Stage"),
    "TransferModel": ("tltf.core.model", "TransferModel"),
    "backbones": ("tltf.backbones", None),
    "datasets": ("tltf.datasets", None),
    "evaluate": ("tltf.reports.evaluate", "evaluate"),
    "export": ("tltf.exporters", "export"),
    "fit": ("tltf.core.fit", "fit"),
    "image_classifier": ("tltf.flow", "image_classifier"),
    "methods": ("tltf.methods", None),
    "recipes": ("tltf.core.recipes", None),
    "text_classifier": ("tltf.flow", "text_classifier"),
    "transfer": ("tltf.flow", "transfer"),
    "transferability": ("tltf.transferability", None),
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tltf' has no attribute {name!r}")
    module_name, attribute = _PUBLIC[name]
    module = importlib.import_module(module_name)
    value = getattr(module, attribute) if attribute else module
    globals()[name] = value
    return value


def __dir__():
    return sorted(set(globals()) | set(__all__))


_registration.register_when_keras_loads()
