"""Keeps to itself what TensorFlow and Keras say of themselves."""

import contextlib
import gc
import logging
import os
import pathlib
import sys
import tempfile
import warnings

from absl import logging as absl_logging

_PACKAGE = str(pathlib.Path(__file__).parents[1]) + os.sep


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras without a line on the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" in sys.modules:
        return
    with _waiting(), _stderr_aside(), _nothing_is_garbage():
        import keras  # noqa: F401
        import tensorflow as tf

        # The devices are looked for when they are first used, and aloud.
        tf.config.list_logical_devices()


@contextlib.contextmanager
def own_lines_only(level: int = logging.WARNING):
    """Shows what tltf logs, and neither others' log lines nor warnings.

    Args:
        level: The least that is shown, such as `logging.INFO`.
    """
    logger = absl_logging.get_absl_logger()
    before = logger.handlers[:], logger.level, logger.propagate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.handlers[:] = [_OwnLines()]
        logger.setLevel(level)
        logger.propagate = False
        if "tensorflow" in sys.modules:
            logging.getLogger("tensorflow").setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.handlers[:], before_level, logger.propagate = before
            logger.setLevel(before_level)


class _OwnLines(logging.Handler):
    """Writes the bare message to stderr, wrapped at words."""

    def emit(self, record):
        if record.pathname.startswith(_PACKAGE):
            import rich.console

            rich.console.Console(stderr=True, highlight=False).print(
                record.getMessage(), markup=False, style="dim"
            )


@contextlib.contextmanager
def _stderr_aside():
    """Keeps what is written to stderr, and shows it if something fails.

    TensorFlow's C++ side writes some lines before it has read
    TF_CPP_MIN_LOG_LEVEL (2.21), so the file descriptor itself is moved.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:
            aside.seek(0)
            os.write(real, aside.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)


@contextlib.contextmanager
def _nothing_is_garbage():
    """Has Python not look for garbage among what is imported, then or later.

    What TensorFlow and Keras make as they load stays. To go through it took
    0.8 s of CPU while they loaded (978 times), and 0.2 s now and then after.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


@contextlib.contextmanager
def _waiting():
    """Says on a terminal that the seconds of an import are not a hang."""
    if not os.isatty(2):
        yield
        return
    import rich.console

    with os.fdopen(os.dup(2), "w") as terminal:
        console = rich.console.Console(file=terminal)
        with console.status("Loading TensorFlow …"):
            yield
