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
    """Has Keras loaded by its own loader, and then registers.

    It stays until Keras is really loaded: TensorFlow asks for the spec of
    Keras, just to see whether it is there.
    """

    _is_asking = False

    def find_spec(self, name, path=None, target=None):
        if name != "keras" or self._is_asking:
            return None
        self._is_asking = True
        try:
            spec = importlib.util.find_spec("keras")
        finally:
            self._is_asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _LoaderThenRegister(spec.loader, self)
        return spec


class _LoaderThenRegister(importlib.abc.Loader):
    """Loads Keras as its own loader does, then registers tltf's classes."""

    def __init__(self, loader, watcher):
        self._loader, self._watcher = loader, watcher

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        if self._watcher in sys.meta_path:
            sys.meta_path.remove(self._watcher)
        self._loader.exec_module(module)
        import tltf.core.model  # noqa: F401
