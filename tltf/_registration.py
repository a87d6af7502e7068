"""Makes `keras.models.load_model` know tltf's classes after `import tltf`."""

import importlib.abc
import importlib.util
import sys


def register_when_keras_loads() -> None:
    """Registers now if Keras is loaded, else as soon as it is.

    Keras finds a class of a saved model only if the class's module was
    imported; `import tltf` alone must not import Keras, which takes seconds.
    """
    if "keras" in sys.modules:
        import tltf.core.model  # noqa: F401
    else:
        sys.meta_path.insert(0, _KerasWatcher())


class _KerasWatcher(importlib.abc.MetaPathFinder):
    """Stands aside once it has seen `import keras`."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec("keras")
        if spec is not None and spec.loader is not None:
            spec.loader = _LoaderThenRegister(spec.loader)
        return spec


class _LoaderThenRegister(importlib.abc.Loader):
    """Loads Keras as its own loader does, then registers tltf's classes."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        import tltf.core.model  # noqa: F401
